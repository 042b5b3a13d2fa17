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
    /// What has to be so for the values to differ, unless the study says otherwise.
    var given: (option: String, value: String)?

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
            name: "resolution", option: "pretrain_size", values: ["1/2", "3/4", "1"],
            sentence:
                "The side of the images while the encoder is pretrained; its positions are then "
                + "resampled."),
        Ablation(
            name: "positions", option: "positions", values: ["bicubic", "antialias", "fresh"],
            sentence:
                "How positions get to the grid of the transformer from that of smaller images.",
            given: ("pretrain_size", "3/4")),
        Ablation(
            name: "beta-gamma", option: "affine", values: ["no", "yes"],
            sentence:
                "Whether the transformer's norms have beta and gamma, which take the encoder's."),
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

    static var list: String { all.map(\.name).joined(separator: ", ") }

    /// - Throws: `.argument` for a name that is none
    static func named(_ name: String) throws(USPError) -> Ablation {
        if let found = all.first(where: { $0.name == name }) { return found }
        throw unknownName(name, what: "ablation", known: all.map(\.name))
    }

    /// A value for options: shares are of what they say.
    func value(_ text: String, of option: String, _ options: StudyOptions) -> String {
        let whole: Int
        switch option {
        case "layers": whole = options.depth
        case "pretrain_steps": whole = options.pretrainSteps
        case "pretrain_size": whole = options.size
        default: return text
        }
        let parts = text.split(separator: "/").compactMap { Int($0) }
        let share = parts.count == 2 ? whole * parts[0] / parts[1] : text == "1" ? whole : parts[0]
        guard option == "pretrain_size" else { return "\(share)" }
        let unit = options.factor * options.patch
        return "\(max(share / unit, 1) * unit)"
    }

    /// The values for options, each once.
    func values(_ options: StudyOptions) -> [String] {
        var seen: Set<String> = []
        return values.map { value($0, of: option, options) }.filter { seen.insert($0).inserted }
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
        for value in ablation.values(options) {
            var changed = options
            (changed.seeds, changed.supervisedSteps, changed.ablate) = (1, 0, [])
            (changed.trainSteps, changed.evaluateEvery) = (
                options.ablationSteps, options.ablationSteps
            )
            if let (option, value) = ablation.given,
                !options.described(differingFrom: StudyOptions()).contains(where: {
                    $0.name == option
                })
            {
                try changed.set(option, ablation.value(value, of: option, options))
            }
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
            let isOwn = own.key == coded.key && variant.pretrainingSaid == pretrainingSaid
            let encoder = isOwn ? encoder.below : try variant.pretrain(own, images)[0]
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
            folder.results[number: "seconds.ablation_\(ablation.name)_\(value)"] =
                variant.folder.results.numbers.reduce(0) {
                    $0 + ($1.name.hasPrefix("seconds.") ? $1.value : 0)
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
