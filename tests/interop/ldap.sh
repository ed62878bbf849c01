# Debian's slapd as the directory; sourced by run.sh.
if command -v slapd >/dev/null; then
D=$((B+2000)) ldap=$((B+2900)) dir=$work/ldap
mkdir -p "$dir/db"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
  -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
cat >"$dir/slapd.conf" <<CF
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/misc.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $dir/pid
TLSCertificateFile $dir/cert.pem
TLSCertificateKeyFile $dir/key.pem
security simple_bind=128
database mdb
suffix "dc=here,dc=test"
directory $dir/db
access to attrs=userPassword by dn="cn=postrider,dc=here,dc=test" read by anonymous auth by * none
access to * by dn="cn=postrider,dc=here,dc=test" read by * none
CF
cat >"$dir/people.ldif" <<LDIF
dn: dc=here,dc=test
objectClass: domain
dc: here

dn: cn=postrider,dc=here,dc=test
objectClass: person
cn: postrider
sn: postrider
userPassword: lookup

dn: uid=ann,dc=here,dc=test
objectClass: inetOrgPerson
objectClass: inetLocalMailRecipient
uid: ann
cn: Ann
sn: A
mail: ann@here.test
mailLocalAddress: ann.a@here.test
userPassword: $(/usr/sbin/slappasswd -s annpw)

dn: uid=eve,dc=here,dc=test
objectClass: inetOrgPerson
objectClass: inetLocalMailRecipient
uid: eve
cn: Eve
sn: E
mail: eve@here.test
mailLocalAddress: eve.e@here.test
userPassword: evepw

dn: cn=team@here.test,dc=here,dc=test
objectClass: nisMailAlias
cn: team@here.test
rfc822MailMember: ann@here.test
rfc822MailMember: eve@here.test
LDIF
slapadd -f "$dir/slapd.conf" -l "$dir/people.ldif" >"$work/out" 2>&1 || no "slapadd"
slapd_up() { slapd -f "$dir/slapd.conf" -h "ldap://localhost:$ldap" && waits 50 bash -c "true >/dev/tcp/127.0.0.1/$ldap" 2>/dev/null; }
slapd_down() { local pid; pid=$(cat "$dir/pid"); kill "$pid"; waits 50 bash -c "! kill -0 $pid 2>/dev/null"; }
d() { "$postrider" --root "$dir/r" "$@"; }
d_up() { "$postrider" --root "$dir/r" serve >"$dir/serve.out" 2>>"$dir/serve.log" & d_pid=$!; waits 100 grep -q '^ready' "$dir/serve.out" || cat "$dir/serve.log"; }
d_down() { kill "$d_pid"; wait "$d_pid" 2>/dev/null; }
echo lookup >"$dir/secret"
slapd_up
echo secret | d setup --yes --listen 127.0.0.1 --port-base $D --hostname localhost --password-stdin \
  --set auth.hash_memory_kib=1024 --set auth.plaintext=true --set auth.directory_seconds=0 --set auth.failed_seconds=0 --set 'limits.failed_logins=0' \
  --set "ldap.urls=['ldap://localhost:1','ldap://localhost:$ldap']" --set ldap.starttls=true \
  --set "ldap.authorities=$dir/cert.pem" --set 'ldap.bind_dn=cn=postrider,dc=here,dc=test' \
  --set "ldap.bind_password=$dir/secret" --set 'ldap.base=dc=here,dc=test' \
  --set 'ldap.login_filter=(&(objectClass=inetOrgPerson)(mail={address}))' \
  --set 'ldap.address_filter=(|(mail={address})(mailLocalAddress={address})(&(objectClass=nisMailAlias)(cn={address})))' \
  --set ldap.members=rfc822MailMember bob@here.test >/dev/null
d_up
ports=($((D+25)) $((D+587)) $((D+143)) $((D+110)))
check "slapd: logins, recipients, aliases, lists" python3 "$here/ldap.py" up "${ports[@]}"
slapd_down
check "slapd is down: nothing is lost or refused for good" python3 "$here/ldap.py" down "${ports[@]}"
slapd_up
# For two seconds after a failure nobody is asked.
check "slapd is back" waits 50 python3 "$here/ldap.py" hashes "${ports[@]}"
d_down
sed -i 's/^password = ""/password = "userPassword"/' "$dir/r/postrider.toml"
d_up
check "slapd: hashes read from entries" python3 "$here/ldap.py" hashes "${ports[@]}"
d_down; slapd_down
grep -i panicked "$dir/serve.log" && no "no panic in the log of LDAP"
grep -qE 'annpw|evepw|lookup' "$dir/serve.log" && no "no password in the log of LDAP"
fi
