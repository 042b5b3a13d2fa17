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
