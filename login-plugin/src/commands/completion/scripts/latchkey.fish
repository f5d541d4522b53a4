# Completion of kubectl-latchkey for fish: kubectl-latchkey completion fish | source

function __kubectl_latchkey
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l answer ($words[1] __complete $words[2..-1] "$typed" 2>/dev/null)
    or return
    set -l directive (string sub -s 2 -- $answer[-1])
    set -e answer[-1]
    # The answer holds values only; fish compares whole words.
    set -l before (string match -r -- '^--[^=]+=' $typed)
    if test (count $answer) -gt 0
        printf "$before%s\n" $answer
    else if test (math "bitand($directive, 16)") -ne 0
        __fish_complete_directories (string replace -r -- '^--[^=]+=' '' "$typed") | string replace -r '^' -- "$before"
    else if test (math "bitand($directive, 4)") -eq 0
        __fish_complete_path (string replace -r -- '^--[^=]+=' '' "$typed") | string replace -r '^' -- "$before"
    end
end

complete -c kubectl-latchkey -e
complete -c kubectl-latchkey -f -k -a '(__kubectl_latchkey)'
