
# `cargo xtask …` is completed by the above, and any other command of cargo's as before.
if ! complete -p cargo > /dev/null 2>&1 && declare -F _completion_loader > /dev/null; then
    _completion_loader cargo > /dev/null 2>&1
fi
_cargo_without_xtask=$(complete -p cargo 2> /dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
if [[ ${_cargo_without_xtask} == _cargo_with_xtask ]]; then
    _cargo_without_xtask=
fi

_cargo_with_xtask() {
    if [[ ${COMP_CWORD} -ge 2 && ${COMP_WORDS[1]} == xtask ]]; then
        local previous=$3
        if [[ ${COMP_CWORD} -eq 2 ]]; then
            previous=cargo_xtask
        fi
        COMP_WORDS=(cargo_xtask "${COMP_WORDS[@]:2}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _cargo_xtask cargo_xtask "$2" "${previous}"
    elif [[ -n ${_cargo_without_xtask} ]]; then
        "${_cargo_without_xtask}" "$@"
    fi
}

complete -o bashdefault -o default -F _cargo_with_xtask cargo
