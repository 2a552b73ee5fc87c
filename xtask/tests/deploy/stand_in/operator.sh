#!/bin/sh
# Stands in for the operator: a store in which nothing is overwritten, and AWS's answers.
set -eu
. "$WORLD/step.sh"

fail() {
    echo "error: $1" >&2
    exit 1
}

# option NAME ARGUMENTS…: what stands behind an option.
option() {
    name=$1
    shift
    while [ $# -gt 0 ]; do
        if [ "$1" = "$name" ]; then
            echo "$2"
            return
        fi
        shift
    done
}

case $1 in
whoami)
    step "whoami"
    [ "${FAIL-}" != whoami ] || fail "there are no AWS credentials; log in and set AWS_PROFILE"
    echo '{"account":"123456789012","arn":"arn:aws:iam::123456789012:user/me"}'
    ;;
live)
    step "live"
    function=$(option --function "$@")
    environment=${function%-webhook-forwarder}
    code=$(cat "$WORLD/$environment/code")
    [ -n "$code" ] || fail "ResourceNotFoundException: there is no $function"
    printf '{"code_sha256":"%s","function_version":"7"}\n' "$code"
    ;;
settle)
    step "settle $(option --uuid "$@")"
    [ "${FAIL-}" != settle ] || fail "the event source mapping is still Updating after 300 s"
    ;;
stage)
    step "stage"
    [ "$(option --stage "$@")" != gone ] || fail "API $(option --api-id "$@") has no stage gone"
    case $(option --api-id "$@") in
    not-by-itself) echo '{"auto_deploy":false,"obstacle":"aws apigatewayv2 create-deployment it is"}' ;;
    *) echo '{"auto_deploy":true,"obstacle":null}' ;;
    esac
    ;;
forget)
    step "forget"
    echo '{"deleted":[]}'
    ;;
await-delivery)
    step "await delivery"
    [ -z "${OVERTAKEN_BY-}" ] || printf '%s' "$OVERTAKEN_BY" >"$WORLD/dev/code"
    if [ "${FAIL-}" = smoke ]; then
        echo '{"outcome":"unknown","log":[{"message":"retry","status":503}]}'
    else
        echo '{"outcome":"delivered","log":[]}'
    fi
    ;;
store)
    key=$3
    bucket=$WORLD/s3/$(option --bucket "$@")
    mkdir -p "$bucket"
    case $2 in
    put)
        step "put ${key%/*}"
        case "$key" in "${DENY-nothing}"*) fail "AccessDenied: s3:PutObject of $key" ;; esac
        echo "$key" >>"$WORLD/puts"
        mkdir -p "$bucket/${key%/*}"
        # Whole or not at all.
        cp "$4" "$bucket/unfinished-$$"
        if ! ln "$bucket/unfinished-$$" "$bucket/$key" 2>/dev/null; then
            rm "$bucket/unfinished-$$"
            case "$*" in *--keep*) exit ;; esac
            cmp -s "$4" "$bucket/$key" || fail "$key holds other bytes, and nothing is overwritten there"
            exit
        fi
        rm "$bucket/unfinished-$$"
        step "has put ${key%/*}"
        ;;
    get)
        step "get"
        cp "$bucket/$key" "$4"
        ;;
    read)
        step "read ${key%/}"
        without=$(option --without "$@")
        separator='['
        mkdir -p "$bucket/$key"
        for name in $(ls -r "$bucket/$key"); do
            [ -z "$without" ] || [ ! -e "$bucket/$without$name" ] || continue
            printf '%s{"key":"%s%s","document":' "$separator" "$key" "$name"
            cat "$bucket/$key$name"
            printf '}'
            separator=,
        done
        [ "$separator" = , ] || printf '['
        echo ']'
        ;;
    esac
    ;;
*)
    fail "$1 is not played"
    ;;
esac
