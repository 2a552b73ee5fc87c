# What the stand-ins have in common. $WORLD is what there is outside the machine: a folder for each
# environment, one for each bucket, and the steps that were taken.

# Waits for a file, in vain for a minute at most.
await() {
    left=3000
    until [ -e "$1" ]; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || exit 97
        sleep 0.02
    done
}

# Takes a step: at number $STOP_AT the command that started us gets the signal $STOP_BY. After CRASH
# nothing is left of either.
step() {
    echo "$1" >>"$WORLD/steps"
    number=$(wc -l <"$WORLD/steps")
    [ "$((number))" = "${STOP_AT-}" ] || return 0
    case $STOP_BY in
    CRASH) kill -KILL "$PPID" $$ ;;
    *) kill -"$STOP_BY" "$PPID" ;;
    esac
    # The test has seen that it was noticed, or that it is dead.
    await "$WORLD/seen"
}
