// The tool's calls that make parts of a study again. A stage that is a training says its own
// (`Study.train`); a part that leaves a file in the folder is made again, to the same bits, when the
// file is gone; what else was measured, commands measure.

import USPBase
import USPFiles
import USPTensor

extension Study {
    /// Those of the parts that no training of a recipe makes.
    func tellCommands(_ judging: Judging, _ coded: StudyLatents) {
        var told: [(name: String, call: String)] = []
        if options.vae == nil { told.append(("autoencoder", again("autoencoder.safetensors"))) }
        told.append(
            ("latents", again(StudyLatents.trainingFile, StudyLatents.testFile)))
        if options.inception == nil { told.append(("judge", again("judge.safetensors"))) }
        if options.has(.generation) {
            for name in ["usp", "scratch", "supervised"] where has("sit_\(name).safetensors") {
                told.append(
                    (
                        "samples_\(name)",
                        samples(
                            "sit_\(name).safetensors", judging,
                            "--solver adams-bashforth --steps \(options.evaluations)",
                            "samples_\(name)")
                    ))
            }
        }
        if options.has(.autoregression) {
            for start in AutoregressiveStart.allCases where has("mar_\(start).safetensors") {
                let iterations = min(options.marIterations, options.grid * options.grid)
                told.append(
                    (
                        "samples_mar_\(start)",
                        samples(
                            "mar_\(start).safetensors", judging,
                            "--iterations \(iterations) --respacing \(MAR.SampleOptions.early.respacing)",
                            "samples_mar_\(start)")
                    ))
            }
        }
        told += observations
        for name in options.ablate {
            told.append(("ablation_\(name)", again("ablations/\(name)-*")))
        }
        for (name, call) in told { folder.results[text: "command." + name] = call }
    }

    /// The noise and the blocks.
    private var observations: [(name: String, call: String)] {
        guard options.has(.understanding), options.has(.observations) else { return [] }
        let test = quoted(folder.file(StudyLatents.testFile))
        let models = ["usp", "scratch"].filter { has("state/finetune_\($0)-model.safetensors") }
        var result: [(name: String, call: String)] = []
        if !models.isEmpty {
            let files = models.map {
                quoted("\($0)=" + folder.statePath("finetune_\($0)-model.safetensors"))
            }
            result.append(
                (
                    "noise",
                    "usp robustness \(files.joined(separator: " ")) \(test) --seed \(seed("noise")) "
                        + "-o \(quoted(folder.file("again-noise")))"
                ))
        }
        if folder.results[text: "done.blocks"] != nil {
            result.append(
                (
                    "blocks",
                    "usp probe-diffusion \(quoted(folder.file("sit_usp.safetensors"))) "
                        + "\(quoted(folder.file(StudyLatents.trainingFile))) --val \(test) --times "
                        + "1,0.9,0.75,0.5,0.25 --final-epochs 0 --rate \(options.probeRate) --seed "
                        + "\(seed("classifier")) --dtype \(options.dtype.name) "
                        + "-o \(quoted(folder.file("again-blocks")))"
                ))
        }
        return result
    }

    private func has(_ file: String) -> Bool { FolderListing.isFile(folder.file(file)) }

    /// Without these files the study makes them again, and nothing else.
    private func again(_ files: String...) -> String {
        "rm -r "
            + files.map { file in
                // A star is the shell's.
                file.hasSuffix("*")
                    ? quoted(folder.file(String(file.dropLast()))) + "*" : quoted(folder.file(file))
            }.joined(separator: " ") + " && " + call
    }

    /// The samples of a picture.
    private func samples(
        _ model: String, _ judging: Judging, _ solver: String, _ name: String
    ) -> String {
        let labels = judging.labels.first(40).map(String.init).joined(separator: ",")
        return
            "usp sample \(quoted(folder.file(model))) --vae "
            + "\(quoted(folder.file("autoencoder.safetensors"))) --classes \(labels) --num 40 --cfg 1 "
            + "\(solver) --seed \(seed("sampling noise")) --dtype \(options.dtype.name) "
            + "-o \(quoted(folder.file("again-\(name).png")))"
    }
}
