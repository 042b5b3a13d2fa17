// Names of masked autoregressive generation: the original's training files, and the same flat.

import USPFiles

extension ModelKind {
    package static let maskedAutoregressive = ModelKind(
        "masked autoregressive model", [.mar], tables: ["model", "model_ema"])
}

extension Dialect {
    private static let parts: Set = [
        "fake_latent", "encoder_pos_embed_learned", "mask_token", "decoder_pos_embed_learned",
        "diffusion_pos_embed_learned", "class_emb", "z_proj", "z_proj_ln", "encoder_blocks",
        "encoder_norm", "decoder_embed", "decoder_blocks", "decoder_norm", "diffloss",
    ]

    /// It shares `mask_token` and `decoder_*` with masked autoencoders.
    static let mar = Dialect(
        name: "MAR", anchors: ["encoder_pos_embed_learned"],
        matches: {
            $0.contains("encoder_pos_embed_learned") && $0.contains("z_proj.weight")
        },
        meaning: { name, _ in parts.contains(components(name)[0]) ? .parameter(name) : .unknown })
}
