// One choice at a time, made otherwise: pretraining again where it is concerned, and a short run of
// generation from it.

import USPBase
import USPModels
import USPTensor

/// A choice whose values are compared.
struct Ablation {
    let name: String
    /// The option, and what it takes.
    let option: String
    let values: [String]
    /// What is compared, for the page.
    let sentence: String

    static let all = [
        Ablation(
            name: "mask-ratio", option: "mask_ratio", values: ["0.25", "0.5", "0.75", "0.9"],
            sentence: "How much is hidden from the encoder while it is pretrained."),
        Ablation(
            name: "vae", option: "latent_channels", values: ["2", "4", "8"],
            sentence: "Channels of the latents, each with an autoencoder of its own."),
        Ablation(
            name: "noise", option: "add_noise", values: ["no", "yes"],
            sentence: "Whether pretraining sees noised latents."),
        Ablation(
            name: "norm-pix", option: "norm_pix_loss", values: ["no", "yes"],
            sentence: "Whether the predicted patches are normalised."),
        Ablation(
            name: "layers", option: "layers", values: ["0", "1/3", "2/3", "1"],
            sentence: "How many of the pretrained blocks are carried over."),
        Ablation(
            name: "gates", option: "gate_bias", values: ["0", "0.3", "1"],
            sentence: "Where the gates of the transformer's blocks start."),
        Ablation(
            name: "pretrain-epochs", option: "pretrain_steps", values: ["1/8", "1/4", "1/2", "1"],
            sentence: "How long the encoder is pretrained."),
    ]

    /// Those of the paper that a study does not make, and why.
    static let others = [
        "resolution":
            "latents of another size would need images, an autoencoder and a judge of their own: "
            + "run a study with another size",
        "positions": "the transfer always carries positions over",
        "beta-gamma":
            "the transfer of a study always keeps norms with gamma and beta; transfer --no-affine "
            + "makes the other kind",
    ]

    static var list: String { all.map(\.name).joined(separator: ", ") }

    /// - Throws: `.argument` for a name that is none; `.unsupported` for one that a study does not make
    static func named(_ name: String) throws(USPError) -> Ablation {
        if let found = all.first(where: { $0.name == name }) { return found }
        if let reason = others[name] {
            throw USPError(.unsupported, "ablate: \(name): \(reason). There are: \(list)")
        }
        throw unknownName(name, what: "ablation", known: all.map(\.name))
    }

    /// A value for options: shares are of what they say.
    func value(_ text: String, _ options: StudyOptions) -> String {
        let whole = option == "layers" ? options.depth : options.pretrainSteps
        let parts = text.split(separator: "/").compactMap { Int($0) }
        switch option {
        case "layers", "pretrain_steps":
            return parts.count == 2
                ? "\(whole * parts[0] / parts[1])" : text == "1" ? "\(whole)" : text
        default: return text
        }
    }
}

extension Study {
    /// Distances (and, with classes, probes) over the values of a choice.
    ///
    /// - encoder: the study's own, for values that are the study's and where pretraining is not
    ///   concerned
    func ablate(
        _ ablation: Ablation, _ images: StudyImages, _ coded: StudyLatents, _ judging: Judging,
        _ encoder: Encoder
    ) throws(USPError) {
        for text in ablation.values {
            let value = ablation.value(text, options)
            var changed = options
            (changed.seeds, changed.supervisedSteps, changed.ablate) = (1, 0, [])
            (changed.trainSteps, changed.evaluateEvery) = (
                options.ablationSteps, options.ablationSteps
            )
            try changed.set(ablation.option, value)
            try changed.check()
            let variant = try Study(of: self, changed, "ablations/\(ablation.name)-\(value)")
            let (own, judge): (StudyLatents, Judging)
            if ablation.option == "latent_channels" {
                try require(
                    options.vae == nil, .argument, "ablate: vae: has no part where vae is given")
                own = try variant.encode(images)
                judge = judging.through(own.autoencoder)
            } else {
                (own, judge) = (coded, judging)
            }
            let isOwn =
                ["layers", "gate_bias"].contains(ablation.option)
                || said(ablation.option) == variant.said(ablation.option)
                    && ablation.option != "latent_channels"
            let encoder = isOwn ? encoder.below : try variant.pretrain(own)[0]
            let key = try variant.generate(encoder, 0, judge, own)
            let name = "ablation.\(ablation.name)"
            try stage("ablation_\(ablation.name)_\(value)", of: [key]) { () throws(USPError) in
                folder.results[number: "\(name).\(value).frechet"] =
                    variant.folder.results[curve: "generation.runs.usp.0"]?.values.last
            }
            if own.classes > 1 {
                let accuracy = try variant.probed(encoder, own)
                folder.results[number: "\(name).\(value).probe"] = accuracy
            }
        }
    }
}

extension Encoder {
    /// As a folder two levels below knows its files.
    var below: Encoder {
        Encoder(name: name, title: title, files: files.map { "../../\($0)" }, key: key)
    }
}
