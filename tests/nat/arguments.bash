# The commands of `lab`, and the check of what is typed: who mistypes one is told how it goes.

# Arguments | what it does | an example. `check` knows the words in capitals.
commands() {
    cat <<'TEXT'
up|build it (again)|up
down|remove it|down
in PLACE COMMAND...|run a command there|in alice1 target/debug/peer --tracker 203.0.113.1:55555 --name alice
table ROUTER|show the mappings of its NAT|table home1
watch ROUTER|show them come and go, until Ctrl-C|watch home1
matrix [INPUT] [ONE] [OTHER]|try who reaches whom: all kinds, or these two|matrix drop plain symmetric
router ROUTER KIND [INPUT]|make it another one; it forgets all|router home2 symmetric
forget ROUTER|forget all mappings, as after a long silence|forget home1
mapping ROUTER SECONDS|forget mappings after so much silence|mapping home1 8
loss HOST PERCENT|lose so many of the datagrams that come in|loss alice1 20
move HOST ADDRESS|give a host another address|move pub1 203.0.113.77
hold ROUTER ADDRESS BYTES|drop the first so many bytes to this address|hold home1 203.0.113.22 220
hairpin ROUTER PORT:ADDRESS...|send these ports of its own back inside|hairpin home1 50001:192.168.1.11
TEXT
}

fail() {
    echo "lab: $1" >&2
    exit 1
}

usage() { # complaint; the command is $COMMAND
    local syntax example
    IFS='|' read -r syntax _ example < <(commands | grep "^$COMMAND[ |]")
    printf 'lab: %s\nusage:   lab %s\nexample: sudo %s %s\n' "$1" "$syntax" "$0" "$example" >&2
    exit 2
}

one_of() { # word, words
    local each
    for each in "${@:2}"; do [ "$each" != "$1" ] || return 0; done
    return 1
}

choose() { # what it is, word, words
    one_of "${@:2}" || usage "there is no $1 $2: take one of ${*:3}"
}

number() { # what it is, word, least, most
    [[ $2 =~ ^(0|[1-9][0-9]{0,8})$ ]] && [ "$2" -ge "$3" ] && [ "$2" -le "$4" ] ||
        usage "$1 is a whole number from $3 to $4, not $2"
}

ipv4() {
    local part='(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
    [[ $1 =~ ^$part(\.$part){3}$ ]] || usage "$1 is no address such as 203.0.113.22"
}

check() { # the arguments, against the words of the command's line
    local words word
    read -ra words < <(commands | grep "^$COMMAND[ |]" | cut -d '|' -f 1)
    for word in "${words[@]:1}"; do
        if [ $# = 0 ]; then
            [[ $word == \[* ]] || usage "${word%...} is missing"
            return
        fi
        case ${word//[\[\]]/} in
            HOST) choose host "$1" "${HOSTS[@]}" ;;
            ROUTER) choose router "$1" "${ROUTERS[@]}" ;;
            PLACE) choose place "$1" "${HOSTS[@]}" "${ROUTERS[@]}" ;;
            KIND) choose kind "$1" plain cone symmetric ;;
            ONE | OTHER) choose kind "$1" plain cone symmetric public ;;
            INPUT) choose INPUT "$1" open drop reject ;;
            PERCENT) number PERCENT "$1" 0 100 ;;
            SECONDS) number SECONDS "$1" 1 86400 ;;
            BYTES) number BYTES "$1" 1 1000000 ;;
            ADDRESS) ipv4 "$1" ;;
            PORT:ADDRESS...)
                for word; do
                    [[ $word == *:* ]] || usage "$word is no PORT:ADDRESS such as 50001:192.168.1.11"
                    number PORT "${word%%:*}" 1 65535
                    ipv4 "${word#*:}"
                done
                return
                ;;
            COMMAND...) return ;;
        esac
        shift
    done
    [ $# = 0 ] || usage "$1 is too much"
}
