# transfer, and what inspect says of models.

source="$golden/transfer/checkpoint-3.pth"
expect 2 '--to <to>' transfer "$source"
expect 2 'give --output FILE, or --plan' transfer "$source" --to DiT
expect 0 'class row dropped' transfer "$source" --to DiT --heads 2 --plan
expect 0 'resampled bicubically 7x7 -> 8x6' transfer "$source" --to SiT --heads 2 --grid 8x6 --plan
expect 0 'note: the source.s MLPs' transfer "$source" --to DiT --heads 2 -o "$work/a.safetensors"
expect 0 '27 of 40 tensors' transfer "$source" --to DiT --heads 2 -o "$work/b.safetensors"
same "$work/a.safetensors" "$work/b.safetensors"
expect 0 'come from' transfer "$source" --to DiT --heads 2 -o "$work/a.pt" --report "$work/r.json"
checks=$((checks + 1))
grep -q '"transferred_tensors": 27' "$work/r.json" ||
    { failures=$((failures + 1)); echo "FAILED: the report has no totals"; }
expect 0 'affine yes' inspect "$work/a.pt"
expect 0 'heads 2' inspect "$work/a.safetensors" --summary
expect 0 'vision transformer (names of MAE and timm, table model)' inspect "$source"
expect 0 'scale 0.18215' inspect "$golden/models/vae_params.safetensors" --summary
expect 1 '24 wide, the target 1152' transfer "$source" --to DiT-XL/2 --heads 2 \
    -o "$work/c.safetensors"
expect 0 'come from' transfer "$source" --to DiT -o "$work/e.safetensors"
expect 0 'give their number' inspect "$work/e.safetensors" --summary
expect 1 'cannot write' transfer "$source" --to DiT --heads 2 -o "$work/no/folder/c.pt"
expect 1 'cannot write' transfer "$source" --to DiT --heads 2 -o "$work/d.pt" \
    --report "$work/no/r.json"
absent "$work/d.pt"
