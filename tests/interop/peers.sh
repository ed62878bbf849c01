# Debian's Exim and OpenSMTPD as peers in both directions; sourced by run.sh. Their packages exclude
# Postfix's and one another, so they are unpacked, and run as root in a mount namespace of their own
# where their users and folders exist. The TLS server of Debian 12's OpenSMTPD fails with everybody,
# openssl s_client too; so it is also a peer whose STARTTLS is offered and does not work.
X=$((B+27)) O=$((B+28)) N=$((B+29)) home=$work/peers
if [ "$(id -u)" -eq 0 ] && [ -x "$libraries/peers/usr/sbin/exim4" ] && unshare -m true 2>/dev/null; then
  mkdir -p "$home/exim" "$home/exim-mail" "$home/os-mail"; chmod 755 "$work" "$home"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -keyout "$home/key.pem" -out "$home/cert.pem" 2>/dev/null
  cp "$home/key.pem" "$home/exim-key.pem"; chmod 600 "$home/key.pem"
  chown nobody "$home/exim" "$home/exim-mail" "$home/os-mail" "$home/exim-key.pem"
  cat >"$home/exim.conf" <<CF
exim_user = nobody
exim_group = nogroup
primary_hostname = exim.peer.test
spool_directory = $home/exim
log_file_path = $home/exim/%slog
pid_file_path = $home/exim.pid
daemon_smtp_ports = $X
local_interfaces = 127.0.0.1
keep_environment =
tls_certificate = $home/cert.pem
tls_privatekey = $home/exim-key.pem
acl_smtp_rcpt = accept
acl_smtp_data = accept
begin routers
here:
  driver = manualroute
  domains = here.test
  transport = remote
  route_list = * 127.0.0.1
  self = send
local:
  driver = accept
  transport = file
begin transports
remote:
  driver = smtp
  port = $smtp
  hosts_require_tls = *
file:
  driver = appendfile
  directory = $home/exim-mail
  create_directory
  maildir_format
  user = nobody
  group = nogroup
begin retry
* * F,1h,1s
CF
  cat >"$home/smtpd.conf" <<CF
pki here cert "$home/cert.pem"
pki here key "$home/key.pem"
table all { "@" = nobody }
listen on 127.0.0.1 port $O tls pki here hostname os.peer.test
action keep maildir "$home/os-mail" user nobody virtual <all>
action out relay host "smtp+tls://127.0.0.1:$smtp" tls no-verify
match from any for domain "os.test" action keep
match from any for domain "here.test" action out
CF
  cat >"$home/namespace.sh" <<'NS'
set -e
peers=$1 home=$2
mount --make-rprivate /
cp /etc/passwd /etc/group "$home"
for user in Debian-exim:990 opensmtpd:991 opensmtpq:992; do
  echo "${user%:*}:x:${user#*:}:${user#*:}::/var/lib/opensmtpd/empty:/bin/false" >>"$home/passwd"
  echo "${user%:*}:x:${user#*:}:" >>"$home/group"
done
mount --bind "$home/passwd" /etc/passwd
mount --bind "$home/group" /etc/group
for folder in /var/spool /var/lib /usr/libexec; do mount -t tmpfs -o mode=755 peers "$folder"; done
mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd
chmod 711 /var/spool/smtpd
cp -r "$peers/usr/libexec/opensmtpd" /usr/libexec/
mount --bind "$peers/usr/sbin" /usr/sbin
/usr/sbin/exim4 -C "$home/exim.conf" -bdf -q1s >"$home/exim.log" 2>&1 &
exim=$!
/usr/sbin/smtpd -f "$home/smtpd.conf" -d >"$home/smtpd.log" 2>&1 &
trap 'kill $exim $!' TERM
wait
NS
  unshare -m bash "$home/namespace.sh" "$libraries/peers" "$home" >"$home/namespace.log" 2>&1 &
  peers_pid=$!
  p route add exim.test 127.0.0.1:$X >/dev/null
  p route add os.test 127.0.0.1:$O >/dev/null
  check "Exim and OpenSMTPD: both directions, two-hop smuggling, DSN" python3 "$here/peers.py" "$ca" $submission $imaps exim.test:$X:"$home/exim-mail" os.test:$O:"$home/os-mail"
  # OpenSMTPD takes the octets out that peers.py tries to smuggle by, and a signature notices.
  check "our signatures hold at Exim" signed "$home/exim-mail"
  kill -TERM $peers_pid; wait $peers_pid 2>/dev/null
fi
if [ -d "$libraries/node_modules/nodemailer" ]; then
  p route add node.test 127.0.0.1:$N >/dev/null
  check "nodemailer sends, smtp-server receives from us" env NODE_MODULES_AT="$libraries/" node "$here/nodemailer.mjs" $submission $submissions $N
fi
