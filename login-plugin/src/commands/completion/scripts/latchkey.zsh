#compdef kubectl-latchkey
# Completion of kubectl-latchkey for Zsh: source <(kubectl-latchkey completion zsh), below compinit

_kubectl_latchkey() {
    local line directive value description
    local -a answer candidates options
    answer=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2> /dev/null)}")
    directive="${answer[-1]#:}"
    answer[-1]=()
    for line in $answer; do
        value="${line%%$'\t'*}"
        description="${line#"$value"}"
        # A colon parts the word from its description.
        candidates+=("${value//:/\\:}${description:+:${description#$'\t'}}")
    done
    if [[ $PREFIX == --*=* ]]; then
        # The answer holds values only.
        compset -P '--[^=]##='
    fi
    (( directive & 2 )) && options+=(-S '')
    if (( $#candidates )); then
        _describe -V 'kubectl-latchkey' candidates $options
    elif (( directive & 16 )); then
        _files -/
    elif ! (( directive & 4 )); then
        _files
    fi
}

if [[ $funcstack[1] == _kubectl_latchkey ]]; then
    _kubectl_latchkey "$@"
else
    compdef _kubectl_latchkey kubectl-latchkey
fi
