# evaluate: scores against a set itself, which are known.

printf '\223NUMPY\001\000\166\000%-117s\n' \
    "{'descr': '<f4', 'fortran_order': False, 'shape': (6, 2), }" >"$work/f.npy"
# Six points of two coordinates: (0,0) (1,0) (0,1) (1,1) (2,0) (0,2).
zero='\000\000\000\000' one='\000\000\200\077' two='\000\000\000\100'
printf "$zero$zero$one$zero$zero$one$one$one$two$zero$zero$two" >>"$work/f.npy"
expect 0 'Fréchet distance *0.0000' evaluate "$work/f.npy" "$work/f.npy"
expect 0 'recall *1.0000' evaluate "$work/f.npy" "$work/f.npy"
expect 0 '"precision": 1.0' evaluate "$work/f.npy" "$work/f.npy" --json
expect 1 'nothing to score' evaluate "$work/f.npy"
expect 2 'expected 1 or more' evaluate "$work/f.npy" --neighbours 0

# Images: of many sizes and both formats, by an Inception with random weights.
python3 - "$(dirname "$tool")/libusp.so" "$work/inception.safetensors" <<'MAKE'
import ctypes, sys
library, model = ctypes.CDLL(sys.argv[1]), ctypes.c_void_p()
assert library.usp_model_create(b"Inception", None, ctypes.c_uint64(1), ctypes.byref(model)) == 0
assert library.usp_model_save(model, sys.argv[2].encode(), None) == 0
MAKE
weights="--inception $work/inception.safetensors"
expect 0 'model *Inception network (names of pytorch-fid' inspect "$work/inception.safetensors"
expect 1 'give --inception' evaluate "$golden/images"
expect 1 'no Inception network in it' evaluate "$golden/images" --inception \
    "$golden/models/mae_params.safetensors"
expect 2 'known are tensorflow, pytorch-fid' evaluate "$golden/images" $weights --preprocessing tf
expect 1 'no image in it' evaluate "$golden/random" $weights
expect 0 'samples; published values are of 50,000' evaluate "$golden/images" $weights \
    --preprocessing pytorch-fid
expect 0 'inception score *1\.' evaluate "$golden/images" $weights -o "$work/features.npz"
expect 0 '"precision": 1.0' evaluate "$work/features.npz" "$work/features.npz" --json
expect 0 'sFID *0\.0' evaluate "$work/features.npz" "$golden/images" $weights
