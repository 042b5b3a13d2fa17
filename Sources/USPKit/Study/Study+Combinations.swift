// What the paper adds USP to: alignment with a teacher (REPA), and LightningDiT's blocks. Each is
// compared with the same from scratch.

import USPBase
import USPFiles
import USPModels
import USPTensor

/// Something that a diffusion transformer is trained with, from USP weights and from scratch.
enum Combination: String, CaseIterable {
    case aligned, lightning

    var title: String {
        switch self {
        case .aligned: "alignment"
        case .lightning: "LightningDiT's blocks"
        }
    }

    func change(_ options: inout StudyOptions) {
        switch self {
        case .aligned: options.align = options.align == 0 ? 0.5 : options.align
        case .lightning: options.blocks = .lightning
        }
    }
}

extension Study {
    /// Trains each combination from USP weights and from scratch, with the same seeds, data order and
    /// noise; results are in folders of their own, their curves and speed-ups here too.
    ///
    /// - encoders: the study's, USP's first
    func combine(
        _ encoders: [Encoder], _ judging: Judging, _ coded: StudyLatents, _ images: StudyImages
    ) throws(USPError) {
        for combination in Combination.allCases {
            var changed = options
            (changed.supervisedSteps, changed.ablate) = (0, [])
            combination.change(&changed)
            let variant = try Study(of: self, changed, "combinations/\(combination.rawValue)")
            let own =
                combination == .aligned ? try variant.taught(coded, by: encoders[0].below) : coded
            let starts =
                combination == .lightning
                ? try variant.pretrain(coded, images) : encoders.prefix(2).map(\.below)
            for number in 0..<options.seeds {
                for encoder in starts {
                    try variant.generate(encoder.called(combination.title), number, judging, own)
                    variant.compare(starts)
                    keep(variant, combination, starts)
                }
            }
            try folder.saveResults()
        }
    }

    private func keep(_ variant: Study, _ combination: Combination, _ starts: [Encoder]) {
        let (own, name) = (variant.folder.results, "combinations.\(combination.rawValue)")
        for encoder in starts {
            folder.results[curve: "\(name).\(encoder.name)_frechet"] =
                own[curve: "generation.\(encoder.name)_frechet"]
            for number in 0..<options.seeds {
                let run = "runs.\(encoder.name).\(number)"
                folder.results[curve: "\(name).\(run)"] = own[curve: "generation.\(run)"]
            }
        }
        for ending in ["", "_low", "_high"] {
            folder.results[number: "\(name).speedup\(ending)"] =
                own[number: "generation.speedup\(ending)"]
        }
    }

    /// The latents to train on, of one orientation, with the encoder's tokens of each beside them: the
    /// teacher of a run is a model that the run itself pretrained.
    func taught(_ coded: StudyLatents, by encoder: Encoder) throws(USPError) -> StudyLatents {
        let file = "latents-features.safetensors"
        let key = try stage("features", of: [coded.key, encoder.key], leaving: [file]) {
            () throws(USPError) in
            let teacher = try ViT.load(folder.file(encoder.files[0]))
            let count = coded.training.count
            let latents = try Tensor(Shape([count] + coded.shape.extents))
            let tokens = try teacher.tokens(coded.training.samples(0..<1).inputs).shape
            let features = try Tensor(Shape([count] + tokens.extents.dropFirst()))
            var labels: [Int] = []
            let name = title("generation", "features of the teacher")
            try inBatches(count, 100) { (range) throws(USPError) in
                let batch = try coded.training.samples(range)
                try latents.detachedRows(range).copy(from: batch.inputs)
                try features.detachedRows(range).copy(from: teacher.tokens(batch.inputs))
                labels += batch.classes ?? []
                try report(name, range.upperBound, count)
            }
            var outputs = [("latents", latents), ("features", features)].map { name, tensor in
                ArrayOutput(name, .float32, tensor.shape) { file throws(USPError) in
                    try file.write(
                        UnsafeRawBufferPointer(start: tensor.raw, count: tensor.byteCount))
                }
            }
            if labels.count == count {
                let bytes = labels.withUnsafeBytes { Array($0) }
                outputs.append(
                    ArrayOutput("labels", .int64, [count], bytes: try ByteBuffer(bytes).view))
            }
            try Safetensors.write(
                folder.file(file), outputs, metadata: [(key: "format", value: "pt")])
        }
        return StudyLatents(
            autoencoder: coded.autoencoder, training: try DataSet(folder.file(file)),
            test: coded.test, key: key, trainingPath: folder.file(file))
    }
}

extension Encoder {
    /// With what it is combined with in its title.
    fileprivate func called(_ words: String) -> Encoder {
        Encoder(name: name, title: "\(title), \(words)", files: files, key: key)
    }
}
