# Completion of kubectl-latchkey for GNU Bash: source <(kubectl-latchkey completion bash)

_kubectl_latchkey() {
    local line="${COMP_LINE:0:COMP_POINT}" typed words answer directive value description
    # Words as Bash splits them are cut at = and :, which stand in options and in names of contexts.
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    typed="${words[${#words[@]}-1]}"
    answer="$("${words[0]}" __complete "${words[@]:1}" 2> /dev/null)" || return
    directive="${answer##*:}"
    answer="${answer%:*}"
    # What Bash takes for the beginning of the word, and what of ours stands before it.
    local current="${COMP_WORDS[COMP_CWORD]}"
    [[ $current == "=" || $current == ":" ]] && current=""
    [[ $typed == --*=* ]] && typed="${typed#*=}"
    local before="${typed%"$current"}"
    COMPREPLY=()
    while IFS=$'\t' read -r value description; do
        [[ -n $value ]] && COMPREPLY+=("$(printf '%q' "${value#"$before"}")")
    done <<< "$answer"
    if ((directive & 2)); then
        compopt -o nospace 2> /dev/null
    fi
    if ((${#COMPREPLY[@]} == 0)); then
        if ((directive & 16)); then
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$current")
        elif ! ((directive & 4)); then
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
        fi
    fi
}

complete -F _kubectl_latchkey kubectl-latchkey
