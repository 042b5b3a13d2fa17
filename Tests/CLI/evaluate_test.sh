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

# What is wrong with arr_0 is told, before a network looks at the other side.
pixels() {
    python3 - "$work/$1.npz" "$2" "$3" "$4" <<'MAKE'
import io, math, sys, zipfile
path, name, descr, shape = sys.argv[1:]
shape = tuple(int(n) for n in shape.split(","))
head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
data = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + (head + " " * (117 - len(head)) + "\n").encode()
with zipfile.ZipFile(path, "w") as file:
    file.writestr(f"{name}.npy", data + bytes(math.prod(shape) * int(descr[-1])))
MAKE
}
pixels real arr_0 '<f4' 2,8,8,3
pixels first arr_0 '|u1' 2,3,8,8
pixels alpha arr_0 '|u1' 2,8,8,4
pixels wide arr_0 '<i8' 2,8,8,3
pixels named images '|u1' 2,8,8,3
pixels flat arr_0 '|u1' 2,192
for case in 'real;arr_0 is f32 \[2, 8, 8, 3\], expected images arr_0, u8 .*its numbers are real' \
    'first;channels are in front: transpose(0, 2, 3, 1)' 'alpha;fourth channel is transparency' \
    "wide;arr_0 is i64 .*astype('uint8')" 'named;no arr_0 in it, but images, u8 .*numpy.savez' \
    'flat;arr_0 is u8 \[2, 192\], expected'; do
    expect 1 "${case#*;}" evaluate "$work/${case%%;*}.npz" "$golden/images" $weights
done
