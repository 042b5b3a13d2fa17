// Generated from the tables of fields by scripts/generate_doors.py: do not edit.
// swift-format-ignore-file

import ArgumentParser
import USPBase
import USPKit

/// Options of TrainerOptions that have a part in ViT.
struct FinetuningSettings: ParsableArguments {
    @Option(
        name: .customLong("optimizer"),
        help: "The rule that updates parameters: AdamW or LARS. One of adamw, lars. Default: adamw.")
    var optimizer: String?

    @Option(
        name: .customLong("weight-decay"),
        help: "Decay of matrices; vectors, biases, a classifier's class token and its positions do not decay. 0 or more. Default: 0.")
    var weightDecay: String?

    @Option(
        name: .customLong("beta1"),
        help: "AdamW's first decay; the momentum of LARS. 0 to below 1. Default: 0.9.")
    var beta1: String?

    @Option(
        name: .customLong("beta2"),
        help: "AdamW's second decay. 0 to below 1. Default: 0.999.")
    var beta2: String?

    @Option(
        name: .customLong("average-decay"),
        help: "Decay of the exponential moving average of the parameters; 0 keeps none. 0 to below 1. Default: 0.")
    var averageDecay: String?

    @Flag(
        name: .customLong("average-warms-up"), inversion: .prefixedNo,
        help: "Let that decay grow with the steps n, min(average_decay, (1 + n)/(10 + n)), so that the average of a short run looks back over its last tenth. Default: no.")
    var averageWarmsUp: Bool?

    @Option(
        name: [.customLong("clip-norm"), .customLong("clip")],
        help: "Largest norm of all gradients together; 0 does not clip. 0 or more. Default: 0.")
    var clipNorm: String?

    @Option(
        name: .customLong("layer-decay"),
        help: "Factor of the rate for each layer away from the head. 0 or more. Default: 1.")
    var layerDecay: String?

    @Option(
        name: .customLong("accumulation"),
        help: "Equal parts that a batch is cut into; their gradients are averaged. 1 or more. Default: 1.")
    var accumulation: String?

    @Option(
        name: .customLong("dtype"),
        help: "Type of the products' inputs; sums and parameters stay f32. One of f32, bf16. Default: f32.")
    var dtype: String?

    @Flag(
        name: .customLong("exact"), inversion: .prefixedNo,
        help: "Sum every product plainly, as a model that is loaded so. Default: no.")
    var exact: Bool?

    @Option(
        name: .customLong("recompute"),
        help: "What a transformer's step computes again for its gradients instead of keeping it, to the same bits: the hidden layer of each block (MAE-B, batch 16: 0.86 of the memory in 1.09 of the time; bf16 0.92 in 1.08), or whole blocks (0.69 in 1.20; bf16 0.81 in 1.18). One of nothing, hidden, blocks. Default: nothing.")
    var recompute: String?

    @Option(
        name: [.customLong("label-smoothing"), .customLong("smoothing")],
        help: "Share of the label that is spread over all classes. 0 to 1. Default: 0.")
    var labelSmoothing: String?

    @Option(
        name: .customLong("drop-path"),
        help: "Rate of drop path in the last block; it grows linearly from 0. 0 to below 1. Default: 0.")
    var dropPath: String?

    @Option(
        name: .customLong("schedule"),
        help: "How the rate falls behind the warm-up: half a cosine, or a line as mmengine's PolyLR of power 1, whose warm-up starts at 1e-6 of the rate. One of cosine, poly. Default: cosine.")
    var schedule: String?

    @Option(
        name: .customLong("parts"),
        help: "What a batch of all ranks is cut into, a power of two that divides it: gradients are summed over parts in pairs, so the number of ranks changes no bit. Absent: with ranks that have collectives the largest one up to 64, else the batch is not cut. 1 to 1024.")
    var parts: String?

    @Flag(
        name: .customLong("shard"), inversion: .prefixedNo,
        help: "Keep moments and average in shares, one on each rank: the same bits, files and traffic, and the memory of weights, gradients and a share. All ranks save, and ask for the averaged model, together; of one rank nothing changes. Default: no.")
    var shard: Bool?

    @Flag(
        name: .customLong("overlap"), inversion: .prefixedNo,
        help: "Sum gradients over ranks while the backward pass goes on, each as soon as it is complete, on a thread beside; else behind it, to the same bits. Default: yes.")
    var overlap: Bool?

    @Option(
        name: .customLong("reduction"),
        help: "Type in which parts' gradients are handed on where they are added in pairs, in f32: bf16 halves the traffic of ranks and rounds at every pair, on any number of ranks to the same bits. One of f32, bf16. Default: f32.")
    var reduction: String?

    /// Names of what was said.
    var said: [String] {
        [
            optimizer == nil ? nil : "optimizer",
            weightDecay == nil ? nil : "weight_decay",
            beta1 == nil ? nil : "beta1",
            beta2 == nil ? nil : "beta2",
            averageDecay == nil ? nil : "average_decay",
            averageWarmsUp == nil ? nil : "average_warms_up",
            clipNorm == nil ? nil : "clip_norm",
            layerDecay == nil ? nil : "layer_decay",
            accumulation == nil ? nil : "accumulation",
            dtype == nil ? nil : "dtype",
            exact == nil ? nil : "exact",
            recompute == nil ? nil : "recompute",
            labelSmoothing == nil ? nil : "label_smoothing",
            dropPath == nil ? nil : "drop_path",
            schedule == nil ? nil : "schedule",
            parts == nil ? nil : "parts",
            shard == nil ? nil : "shard",
            overlap == nil ? nil : "overlap",
            reduction == nil ? nil : "reduction",
        ].compactMap(\.self)
    }

    /// Changes what was said.
    func apply(to options: inout TrainerOptions) throws(USPError) {
        if let optimizer { try options.set("optimizer", optimizer) }
        if let weightDecay { try options.set("weight_decay", weightDecay) }
        if let beta1 { try options.set("beta1", beta1) }
        if let beta2 { try options.set("beta2", beta2) }
        if let averageDecay { try options.set("average_decay", averageDecay) }
        if let averageWarmsUp { try options.set("average_warms_up", averageWarmsUp ? "yes" : "no") }
        if let clipNorm { try options.set("clip_norm", clipNorm) }
        if let layerDecay { try options.set("layer_decay", layerDecay) }
        if let accumulation { try options.set("accumulation", accumulation) }
        if let dtype { try options.set("dtype", dtype) }
        if let exact { try options.set("exact", exact ? "yes" : "no") }
        if let recompute { try options.set("recompute", recompute) }
        if let labelSmoothing { try options.set("label_smoothing", labelSmoothing) }
        if let dropPath { try options.set("drop_path", dropPath) }
        if let schedule { try options.set("schedule", schedule) }
        if let parts { try options.set("parts", parts) }
        if let shard { try options.set("shard", shard ? "yes" : "no") }
        if let overlap { try options.set("overlap", overlap ? "yes" : "no") }
        if let reduction { try options.set("reduction", reduction) }
    }
}
