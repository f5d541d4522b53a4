# Completion of kubectl-latchkey for Nushell: kubectl-latchkey completion nushell | save -f ~/.config/nushell/autoload/latchkey.nu

do --env {
    let others = $env.config.completions?.external?.completer?
    $env.config.completions.external.enable = true
    $env.config.completions.external.completer = {|spans: list<string>|
        let words = if $spans.0 == "kubectl-latchkey" {
            $spans | skip 1
        } else if ($spans | length) > 2 and $spans.0 == "kubectl" and $spans.1 == "latchkey" {
            $spans | skip 2
        } else {
            null
        }
        if $words == null {
            # Not ours: whoever was asked before.
            return (if $others == null { null } else { do $others $spans })
        }
        let answer = (^kubectl-latchkey __complete ...$words | complete | get stdout | lines)
        let typed = ($words | last)
        let before = if ($typed =~ '^--[^=]+=') { $typed | str replace --regex '=.*$' '=' } else { "" }
        let found = ($answer | drop 1 | each {|line|
            let parts = ($line | split row "\t")
            {value: $"($before)($parts.0)", description: ($parts | get 1? | default "")}
        })
        # Files and folders, where the answer is empty and allows them.
        if ($found | is-empty) and (($answer | last | default ":4") in [":0" ":16"]) { null } else { $found }
    }
}
