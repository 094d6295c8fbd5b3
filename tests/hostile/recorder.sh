sent=/front/sent/$(date +%s%N).$$
tee "$sent.script" | sh -c "$SSH_ORIGINAL_COMMAND"
status=$?
printf '%s\n' "$SSH_ORIGINAL_COMMAND" >"$sent.command"
exit $status
