// Generated from the tables of fields by scripts/generate_doors.py: do not edit.
// swift-format-ignore-file

import ArgumentParser
import USPBase
import USPKit

/// Options of DataOptions that have a part in some run.
struct AugmentationSettings: ParsableArguments {
    @Option(
        name: [.customLong("rand-augment"), .customLong("aa")],
        help: "RandAugment of each image, behind its crop and mirror image, in timm's words: rand-m9-mstd0.5-inc1 is what MAE and USP fine-tune with; absent: none. Part in: folder of images.")
    var randAugment: String?

    @Option(
        name: [.customLong("erasing"), .customLong("reprob")],
        help: "Chance of an image to have a box of it erased. 0 to 1. Default: 0. Part in: folder of images.")
    var erasing: String?

    @Option(
        name: .customLong("erasing-fill"),
        help: "What is in the box: noise for each value, one random number for each channel, or 0. One of pixel, color, constant. Default: pixel. Part in: folder of images.")
    var erasingFill: String?

    @Option(
        name: .customLong("erasing-count"),
        help: "Boxes in such an image. 1 to 100. Default: 1. Part in: folder of images.")
    var erasingCount: String?

    @Option(
        name: .customLong("mixup"),
        help: "Parameter of mixup's beta distribution (published: 0.8); 0: no mixup. 0 or more. Default: 0.")
    var mixup: String?

    @Option(
        name: .customLong("cutmix"),
        help: "Parameter of CutMix's beta distribution (published: 1); 0: no CutMix. 0 or more. Default: 0.")
    var cutmix: String?

    @Option(
        name: .customLong("mixing-probability"),
        help: "Chance that anything is mixed. 0 to 1. Default: 1.")
    var mixingProbability: String?

    @Option(
        name: .customLong("switch-probability"),
        help: "Chance of CutMix, not mixup, where both are on. 0 to 1. Default: 0.5.")
    var switchProbability: String?

    @Option(
        name: .customLong("mixing-unit"),
        help: "What has a draw of its own. One of batch, pair, sample. Default: batch.")
    var mixingUnit: String?

    @Flag(
        name: .customLong("mix-pixels"), inversion: .prefixedNo,
        help: "Mix images before they are encoded, not their latents. Default: no. Part in: folder of images.")
    var mixPixels: Bool?

    /// Names of what was said.
    var said: [String] {
        [
            randAugment == nil ? nil : "rand_augment",
            erasing == nil ? nil : "erasing",
            erasingFill == nil ? nil : "erasing_fill",
            erasingCount == nil ? nil : "erasing_count",
            mixup == nil ? nil : "mixup",
            cutmix == nil ? nil : "cutmix",
            mixingProbability == nil ? nil : "mixing_probability",
            switchProbability == nil ? nil : "switch_probability",
            mixingUnit == nil ? nil : "mixing_unit",
            mixPixels == nil ? nil : "mix_pixels",
        ].compactMap(\.self)
    }

    /// Changes what was said.
    func apply(to options: inout DataOptions) throws(USPError) {
        if let randAugment { try options.set("rand_augment", randAugment) }
        if let erasing { try options.set("erasing", erasing) }
        if let erasingFill { try options.set("erasing_fill", erasingFill) }
        if let erasingCount { try options.set("erasing_count", erasingCount) }
        if let mixup { try options.set("mixup", mixup) }
        if let cutmix { try options.set("cutmix", cutmix) }
        if let mixingProbability { try options.set("mixing_probability", mixingProbability) }
        if let switchProbability { try options.set("switch_probability", switchProbability) }
        if let mixingUnit { try options.set("mixing_unit", mixingUnit) }
        if let mixPixels { try options.set("mix_pixels", mixPixels ? "yes" : "no") }
    }
}
