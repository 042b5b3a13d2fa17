# demo: every length begins, whatever an earlier run of another left in the folder.

for length in --quick --full; do
    mkdir -p "$work/demo/state"
    echo '{"texts": {"plan": "another"}}' >"$work/demo/state/results.json"
    cp "$golden/images/rgb.png" "$work/demo/state/autoencoder.safetensors"
    : >"$work/said"  # read below before the tool may have begun
    "$tool" demo $length --out "$work/demo" >"$work/said" 2>&1 &
    process=$!
    waited=0
    while ! grep -q '/[0-9]* autoencoder' "$work/said" && [ $waited -lt 600 ] &&
        kill -0 $process 2>/dev/null; do
        sleep 0.1
        waited=$((waited + 1))
    done
    kill -INT $process 2>/dev/null || :
    code=0
    wait $process || code=$?
    checks=$((checks + 1))
    if [ "$code" -ne 130 ] || ! grep -q 'goes on from there' "$work/said"; then
        failures=$((failures + 1))
        echo "FAILED: demo $length ended with $code"
        sed 's/^/  | /' "$work/said"
    fi
done
