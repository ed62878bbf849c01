# Sourced by run.sh: envelopes and structures of odd messages beside those of Dovecot's imap, which talks
# over a pipe and needs no server. docs/mime.md explains every class of differences.
if [ -x /usr/lib/dovecot/imap ]; then
  echo secret | p account add fred@here.test --password-stdin >/dev/null
  mkdir -p "$work/dovecot/run"
  owner=$(id -un) group=$(id -gn) as=()
  if [ "$(id -u)" -eq 0 ]; then
    # It does not run as root.
    owner=nobody group=nogroup as=(setpriv --reuid nobody --regid nogroup --clear-groups)
    chmod 711 "$work"; chown -R nobody:nogroup "$work/dovecot"
  fi
  cat >"$work/dovecot/conf" <<CONF
mail_location = maildir:$work/dovecot/mail
log_path = $work/dovecot/log
base_dir = $work/dovecot/run
state_dir = $work/dovecot/run
ssl = no
mail_uid = $owner
mail_gid = $group
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = $owner
default_login_user = $owner
default_internal_group = $group
CONF
  check "odd messages: ENVELOPE, BODYSTRUCTURE, BODY[], BINARY.SIZE as Dovecot, or explained" \
    env PYTHON_AT="$libraries/python" USER="$owner" HOME="$work/dovecot" python3 "$here/mime_compare.py" "$ca" $imaps "$work" "${as[*]} /usr/lib/dovecot/imap -c $work/dovecot/conf" 600
fi
