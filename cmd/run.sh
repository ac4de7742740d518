#!/bin/sh
# make run: starts a node that remembers, sets it up where it is new, has a
# specimen verified through its API, and goes on serving (ONCE=1: ends).
set -eu
dir=build/run data=build/run/data samples=build/assets/samples
listen=${LISTEN:-127.0.0.1:8443}
mkdir -p "$dir"
[ -f "$dir/passport.jpg" ] || ./gatehouse specimen --portrait "$samples/obama.jpg" --seed 7 --camera --out "$dir/passport.jpg" >/dev/null

rm -f "$dir/started.json"
./gatehouse run --data "$data" --listen "$listen" --json >"$dir/started.json" 2>"$dir/node.log" &
node=$!
trap 'kill -TERM $node 2>/dev/null || true; wait $node 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
tries=0
until grep -q '^}' "$dir/started.json" 2>/dev/null && grep -q '"address"' "$dir/started.json"; do
	if ! kill -0 $node 2>/dev/null || [ $tries -ge 300 ]; then
		echo "the node did not start:" >&2
		cat "$dir/node.log" >&2
		exit 1
	fi
	tries=$((tries + 1))
	sleep 0.1
done
value() { sed -n "s/^ *\"$1\": \"\(.*\)\",*\$/\1/p" "$dir/started.json"; }
server=$(value address) ca=$(value certificate) code=$(value setup_code)

if [ -n "$code" ]; then
	echo "--- a new node: trading its one-time setup code for the first administrator"
	./gatehouse setup --profile "$dir/admin.json" --force --server "$server" --ca "$ca" --code "$code" --organisation 'Specimen Bank' --name 'head office'
	export GATEHOUSE_PROFILE="$dir/admin.json"
	./gatehouse client create --name 'branch 17' --role operator --out "$dir/branch.json" --force
	./gatehouse client create --name 'compliance' --role compliance --role auditor --out "$dir/compliance.json" --force
fi

# A face that is on file under another name is a duplicate: each has a name.
verify() {
	printf '%s\n' "$2" >"$dir/person"
	./gatehouse session verify --profile "$dir/branch.json" --document "$dir/passport.jpg" --selfie "$1" --subject-ref-file "$dir/person" --consent-text 2026-03 --consent-channel branch --wait 30s
}
echo
echo '--- the holder of the passport'
verify "$samples/obama2.jpg" 'customer 1'
echo
echo '--- somebody else with it'
verify "$samples/biden.jpg" 'customer 2' | sed -n '1,12p'
echo
echo '--- the audit log'
./gatehouse audit tail --profile "$dir/compliance.json" --from -12
./gatehouse audit prove --profile "$dir/compliance.json" 0 | sed -n '1,5p'

[ -z "${ONCE:-}" ] || exit 0
cat <<END

--- serving at $server until Ctrl-C; the log is $dir/node.log, the data are in $data
  certificate to pin  $ca
  signed in as        administrator --profile $dir/admin.json
                      branch        --profile $dir/branch.json
                      compliance    --profile $dir/compliance.json
  for example         ./gatehouse session list --profile $dir/branch.json
                      curl --cacert $ca -H "Authorization: Bearer \$(sed -n 's/.*"key": "\(.*\)".*/\1/p' $dir/branch.json)" $server/v1/sessions
END
wait $node
