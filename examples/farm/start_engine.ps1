# Starts the engine when you log on, and again when it ends: run this file once in PowerShell.
$engine = "$env:USERPROFILE\ani3dhuman\.venv\Scripts\ani3dhuman-engine.exe"
$store = "$env:USERPROFILE\ani3dhuman-jobs"
$action = New-ScheduledTaskAction -Execute $engine -Argument "--port 5817 --store `"$store`" --keep-days 30 --keep-gb 200"
$trigger = New-ScheduledTaskTrigger -AtLogOn -User $env:USERNAME
$settings = New-ScheduledTaskSettingsSet -RestartCount 99 -RestartInterval (New-TimeSpan -Minutes 1) -ExecutionTimeLimit 0
Register-ScheduledTask -TaskName "Ani3DHuman engine" -Action $action -Trigger $trigger -Settings $settings -Force
Start-ScheduledTask -TaskName "Ani3DHuman engine"
# ani3dhuman-engine stop            ends it in good order
# Unregister-ScheduledTask "Ani3DHuman engine"
