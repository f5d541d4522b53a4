# Completion of kubectl-latchkey for PowerShell: kubectl-latchkey completion powershell | Out-String | Invoke-Expression

Register-ArgumentCompleter -Native -CommandName 'kubectl-latchkey' -ScriptBlock {
    param($typed, $command, $position)
    # Only what stands before the cursor.
    $words = @($command.CommandElements | Where-Object { $_.Extent.StartOffset -lt $position } | ForEach-Object { $_.Extent.Text })
    $program = $words[0]
    $arguments = @($words | Select-Object -Skip 1)
    if ($typed -eq '') { $arguments += '' }
    # Before 7.3 an empty argument is lost on its way to a program, unless it is written as two quotes.
    if ($PSVersionTable.PSVersion -lt [version]'7.3.0') { $arguments = @($arguments | ForEach-Object { if ($_ -eq '') { '""' } else { $_ } }) }
    $answer = @(& $program __complete @arguments 2>$null)
    if ($answer.Count -eq 0) { return }
    $before = if ($typed -match '^(--[^=]+=)') { $Matches[1] } else { '' }
    $answer | Select-Object -SkipLast 1 | ForEach-Object {
        $value, $description = $_ -split "`t", 2
        if (-not $description) { $description = $value }
        [System.Management.Automation.CompletionResult]::new("$before$value", $value, 'ParameterValue', $description)
    }
}
