# Debian's PAM as what proves passwords, with a real user of this system; sourced by run.sh.
if [ "$(id -u)" -ne 0 ]; then
  echo "SKIPPED PAM: only root can make a user and read /etc/shadow"
elif ! /usr/bin/python3 -c 'import pam' 2>/dev/null; then
  echo "SKIPPED PAM: python3-pampy is not installed"
else
P=$((B+3500)) dir=$work/pam unix=prtest$$ service=postrider-test-$$
mkdir -p "$dir"; chmod 755 "$work" "$dir"
useradd --no-create-home --shell /usr/sbin/nologin "$unix"
echo "$unix:pampw" | chpasswd
printf 'auth required pam_unix.so nodelay\naccount required pam_unix.so\n' >"/etc/pam.d/$service"
unpam() { userdel "$unix" 2>/dev/null; rm -f "/etc/pam.d/$service"; }
trap 'unpam; cleanup' EXIT
cat >"$dir/check" <<'PY'
#!/usr/bin/python3
import os, sys, pam
name, word = os.read(3, 512).split(b"\0")[:2]
asked = pam.pam()
right = asked.authenticate(name.decode(), word.decode(), service=sys.argv[1])
sys.exit(0 if right else 111 if asked.code in (4, 9, 26) else 1)
PY
chmod 755 "$dir/check"
m() { "$postrider" --root "$dir/r" "$@"; }
# The server becomes nobody, who cannot read /etc/shadow; its helper stays root.
echo secret | m setup --yes --listen 127.0.0.1 --port-base $P --hostname localhost --password-stdin --set user=nobody \
  --set auth.hash_memory_kib=1024 --set auth.plaintext=true --set auth.directory_seconds=0 --set auth.failed_seconds=0 --set 'limits.failed_logins=0' \
  --set "program.command=['$dir/check','$service']" --set 'program.name={local}' bob@here.test >/dev/null
"$postrider" --root "$dir/r" serve >"$dir/serve.out" 2>"$dir/serve.log" & m_pid=$!
waits 100 grep -q '^ready' "$dir/serve.out" || cat "$dir/serve.log"
check "the server is nobody" [ "$(ps -o user= -p "$m_pid")" = nobody ]
check "PAM: logins in SMTP, IMAP and POP3" python3 "$here/pam.py" up "$unix" $((P+25)) $((P+587)) $((P+143)) $((P+110))
helper=$(pgrep -P "$m_pid"); kill -KILL "$helper"
check "the helper is killed: nobody's password is wrong" python3 "$here/pam.py" down "$unix" $((P+25)) $((P+587)) $((P+143)) $((P+110))
kill "$m_pid"; wait "$m_pid" 2>/dev/null
"$postrider" --root "$dir/r" serve >"$dir/serve.out" 2>>"$dir/serve.log" & m_pid=$!
waits 100 grep -q '^ready' "$dir/serve.out"
helper=$(pgrep -P "$m_pid"); kill -KILL "$m_pid"; wait "$m_pid" 2>/dev/null
check "the helper ends with the server" waits 50 bash -c "! kill -0 $helper 2>/dev/null"
grep -i panicked "$dir/serve.log" && no "no panic in the log of PAM"
grep -q pampw "$dir/serve.log" && no "no password in the log of PAM"
unpam; trap cleanup EXIT
fi
