#!/bin/sh
# Stands in for Terraform: a state that is locked and has a serial number, plans that get stale, and one
# thing to change, the code that the function runs.
set -eu
. "$WORLD/step.sh"

if [ "$*" = "version -json" ]; then
    echo '{"terraform_version":"1.11.4"}'
    exit
fi
environment=${1##*/}
aws=$WORLD/$environment
verb=$2
eval "last=\${$#}"

fail() {
    printf 'Error: %s\n' "$1" >&2
    exit 1
}

lock() {
    mkdir "$aws/lock" 2>/dev/null || fail "Error acquiring the state lock

  ID:        lock-1
  Operation: OperationTypeApply
  Who:       me@$(uname -n)
  Created:   today"
}

# Terraform ends in order on INT: what it has begun is done, and the lock is released.
ended=
trap 'ended=1' INT
release() {
    rmdir "$aws/lock"
    [ -z "$ended" ] || fail "execution halted"
}

serial() { cat "$aws/serial"; }

case $verb in
init)
    echo "$*" >"$WORLD/init"
    env | grep '^AWS_' >"$WORLD/environment" || true
    step "terraform init"
    ;;
plan)
    lock
    kind=deploy
    for argument; do
        case $argument in
        -destroy) kind=destroy ;;
        -out=*) out=${argument#-out=} ;;
        -var-file=*/artifact.tfvars.json)
            code=$(sed -n 's/.*"artifact":{[^}]*"code_sha256":"\([^"]*\)".*/\1/p' "${argument#-var-file=}")
            ;;
        esac
    done
    step "terraform plan"
    printf 'kind=%s\ncode=%s\nserial=%s\n' "$kind" "$code" "$(serial)" >"$out"
    echo 'aws_x.a: Refreshing state...'
    release
    ;;
show)
    step "terraform show"
    [ "$last" != "-json" ] || exec cat "$aws/state.json"
    . "$last"
    live=$(cat "$aws/code")
    if [ "$kind" = destroy ]; then
        exec cat "$aws/destroy.json"
    elif [ "$live" != "$code" ]; then
        action=update
        applyable=true
    else
        action=no-op
        applyable=$([ -e "$aws/outputs-differ" ] && echo true || echo false)
    fi
    exec sed -e "s|@BEFORE@|$live|; s|@AFTER@|$code|; s|@ACTION@|$action|g" \
        -e "s|\"@APPLYABLE@\"|$applyable|" "$aws/plan.json"
    ;;
apply)
    case "$*" in
    *-refresh-only*)
        step "terraform refresh"
        exit
        ;;
    esac
    [ "${FAIL-}" != apply ] || fail "creating queue: AccessDenied"
    # Read at once, as Terraform does.
    . "$last"
    lock
    if [ "$serial" != "$(serial)" ]; then
        rmdir "$aws/lock"
        fail "Saved plan is stale"
    fi
    echo $$ >"$WORLD/terraform-pid"
    step "terraform apply begins"
    [ ! -e "$WORLD/hold" ] || await "$WORLD/go"
    [ -z "$ended" ] || release
    echo "applied $kind to $environment" >>"$WORLD/applied"
    if [ "$kind" = destroy ]; then code=; fi
    printf '%s' "$code" >"$aws/code"
    rm -f "$aws/outputs-differ"
    echo $(($(serial) + 1)) >"$aws/serial"
    step "terraform apply ends"
    release
    ;;
output)
    step "terraform output"
    sed "s|@CODE@|${OTHER_CODE-$(cat "$aws/code")}|" "$aws/outputs.json"
    ;;
*)
    fail "terraform $verb is not played"
    ;;
esac
