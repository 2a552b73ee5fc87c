
# `cargo xtask …` is completed by the above.
function __cargo_xtask_rest
    commandline --current-process --cut-at-cursor | string replace --regex '^\s*cargo\s+xtask\s+' 'cargo-xtask '
end
complete --command cargo --condition 'string match --quiet --regex "^\s*cargo\s+xtask\s" -- (commandline --current-process --cut-at-cursor)' --no-files --arguments '(complete --do-complete (__cargo_xtask_rest))'
