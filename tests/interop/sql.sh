# Debian's PostgreSQL as the directory, with the people of ldap.sh; sourced by run.sh.
pgbin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
if [ -n "$pgbin" ] && [ "$(id -u)" -eq 0 ]; then
Q=$((B+3000)) pgport=$((B+3900)) dir=$work/sql
mkdir -p "$dir/pg"; chmod 755 "$work" "$dir"; chown postgres "$dir/pg"
as_pg() { runuser -u postgres -- "$@"; }
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
  -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
echo lookup >"$dir/secret"; chmod 644 "$dir/secret"
as_pg "$pgbin/initdb" -D "$dir/pg/data" -A scram-sha-256 --pwfile="$dir/secret" >"$work/out" 2>&1 || no "initdb"
install -o postgres -m 600 "$dir/key.pem" "$dir/pg/data/server.key"; install -o postgres "$dir/cert.pem" "$dir/pg/data/server.crt"
pg_up() { as_pg "$pgbin/pg_ctl" -D "$dir/pg/data" -w -l "$dir/pg/log" -o "-p $pgport -c listen_addresses=localhost -c unix_socket_directories= -c ssl=on -c fsync=off" start >/dev/null; }
pg_down() { as_pg "$pgbin/pg_ctl" -D "$dir/pg/data" -m fast -w stop >/dev/null; }
pg_up
PGPASSWORD=lookup psql -q -h localhost -p $pgport -U postgres postgres >"$work/out" 2>&1 <<SQL || no "psql"
CREATE TABLE people (address text PRIMARY KEY, hash varchar NOT NULL);
CREATE TABLE aliases (address text NOT NULL, target text NOT NULL);
INSERT INTO people VALUES ('ann@here.test', '$(openssl passwd -6 annpw)'), ('eve@here.test', '$(openssl passwd -6 evepw)');
INSERT INTO aliases VALUES ('ann.a@here.test', 'ann@here.test'), ('eve.e@here.test', 'eve@here.test'),
  ('team@here.test', 'ann@here.test'), ('team@here.test', 'eve@here.test');
SQL
q() { "$postrider" --root "$dir/r" "$@"; }
echo secret | q setup --yes --listen 127.0.0.1 --port-base $Q --hostname localhost --password-stdin \
  --set auth.hash_memory_kib=1024 --set auth.plaintext=true --set auth.directory_seconds=0 --set auth.failed_seconds=0 --set 'limits.failed_logins=0' \
  --set "sql.url=postgresql://postgres@localhost:$pgport/postgres" --set "sql.password=$dir/secret" \
  --set 'sql.login_query=SELECT address, hash FROM people WHERE address = $1' \
  --set 'sql.address_query=SELECT address FROM people WHERE address = $1 UNION SELECT target FROM aliases WHERE address = $2 || chr(64) || $3' \
  bob@here.test >/dev/null
q_up() { "$postrider" --root "$dir/r" serve >"$dir/serve.out" 2>>"$dir/serve.log" & q_pid=$!; waits 100 grep -q '^ready' "$dir/serve.out" || cat "$dir/serve.log"; }
q_down() { kill "$q_pid"; wait "$q_pid" 2>/dev/null; }
q_up
ports=($((Q+25)) $((Q+587)) $((Q+143)) $((Q+110)))
check "PostgreSQL: logins, recipients, aliases, lists" python3 "$here/ldap.py" up "${ports[@]}"
pg_down
check "PostgreSQL is down: nothing is lost or refused for good" python3 "$here/ldap.py" down "${ports[@]}"
pg_up
check "PostgreSQL is back" waits 50 python3 "$here/ldap.py" hashes "${ports[@]}"
q_down
sed -i "s|^url = \"postgresql.*|url = \"postgresql://postgres@localhost:$pgport/postgres?sslmode=require\"|; /^\[sql\]/,/^\[/s|^authorities = .*|authorities = \"$dir/cert.pem\"|" "$dir/r/postrider.toml"
q_up
check "PostgreSQL under TLS" python3 "$here/ldap.py" hashes "${ports[@]}"
q_down; pg_down
grep -i panicked "$dir/serve.log" && no "no panic in the log of SQL"
grep -qE 'annpw|evepw' "$dir/serve.log" && no "no password in the log of SQL"
fi
