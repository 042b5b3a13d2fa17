#!/bin/sh
# That the ABI check lets pass what docs/abi.md allows, and stops what it does not.
set -eu
cd "$(dirname "$0")/../.."
command -v abidiff >/dev/null || { echo "abi: not checked: abigail-tools is not installed"; exit 0; }

packaging/abi/abi.py check
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packaging/abi/abi.py keep include "$work" >/dev/null

# changed FILE SCRIPT: a header that is changed by sed's SCRIPT, and is another one then
changed() {
    rm -rf "$work/include"
    cp -r include "$work/include"
    sed -i "$2" "$work/include/usp/$1"
    ! cmp -s "include/usp/$1" "$work/include/usp/$1" || { echo "abi: nothing to change: $2" >&2; exit 1; }
}
passes() {
    changed "$2" "$3"
    packaging/abi/abi.py check "$work/include" "$work" >"$work/said" 2>&1 ||
        { echo "abi: stops $1" >&2; cat "$work/said" >&2; exit 1; }
}
stops() {
    changed "$2" "$3"
    code=0
    packaging/abi/abi.py check "$work/include" "$work" >"$work/said" 2>&1 || code=$?
    [ "$code" -eq 1 ] && grep -q "breaks programs" "$work/said" ||
        { echo "abi: lets pass $1 ($code)" >&2; cat "$work/said" >&2; exit 1; }
}

passes "an option at the end" transfer.h 's/^} usp_transfer_options;/    int32_t newer;\n&/'
passes "a new function" base.h 's/^USP_API uint32_t usp_abi_version(void);/&\nUSP_API int usp_newer(void);/'
passes "a new status" base.h 's/USP_OK = 0,/&\n    USP_ERROR_NEWER = -99,/'
stops "an option in the middle" transfer.h 's/uint32_t struct_size;.*/&\n    int32_t inserted;/'
stops "a field more in a struct without a size" base.h 's/^} usp_tensor;/    int32_t newer;\n&/'
stops "a function that is gone" base.h 's/^USP_API uint32_t usp_abi_version(void);//'
stops "another result" base.h 's/^USP_API uint32_t usp_abi_version(void);/USP_API uint64_t usp_abi_version(void);/'
stops "another value" base.h 's/USP_ERROR_SHAPE = -2/USP_ERROR_SHAPE = -42/'
echo "abi: three changes pass, five are stopped"
