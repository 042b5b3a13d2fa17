// Reverse-mode differentiation: each operation records one closure, the tape plays them backwards.

import USPBase

/// The identity of a value on the tape: whether it needs a gradient, and the gradient itself.
package final class Node: @unchecked Sendable {
    // SAFETY of @unchecked: gradients are touched only by the one thread that trains; the packed
    // copies guard themselves.

    /// Set for trainable parameters, and by the tape for everything computed from them.
    package internal(set) var requiresGradient = false

    /// For a parameter: where its gradient accumulates (f32, a view of the gradient slab).
    package internal(set) var gradient: Tensor?

    /// How to compute the value once more from what other gradients keep anyway: whoever needs its
    /// content in a gradient then does not keep that. The same bits, in a shape of the same count.
    var again: (() throws(USPError) -> Tensor)?

    /// A leaf keeps its gradient; an intermediate value's is released once it has been used.
    fileprivate var isLeaf = false
    fileprivate var ownsGradient = false

    /// Copies of a parameter in the layouts that products read.
    package let packed = PackedCopies()

    package init() {}

    /// Makes this a trainable parameter whose gradient is added to `gradient`; nil freezes it.
    package func setLeaf(gradient: Tensor?) {
        self.gradient = gradient
        requiresGradient = gradient != nil
        isLeaf = true
        ownsGradient = true
    }

    /// Makes this a trainable parameter that has no place for its gradient: it gets memory of its
    /// own during a backward pass.
    package func setTrained() {
        setLeaf(gradient: nil)
        requiresGradient = true
    }
}

/// A value that gradients flow to, without its content.
package struct Place {
    package let node: Node
    package let shape: Shape

    package init(_ tensor: Tensor) { (node, shape) = (tensor.node, tensor.shape) }
}

/// The content of a value that a gradient needs: kept, or computed once more if that is cheap.
package struct Kept {
    package let place: Place
    package let dtype: DType
    private let tensor: Tensor?

    package init(_ tensor: Tensor) {
        place = Place(tensor)
        dtype = tensor.dtype
        self.tensor = tensor.node.again == nil ? tensor : nil
    }

    package func value() throws(USPError) -> Tensor {
        if let tensor { return tensor }
        guard let again = place.node.again else {
            throw USPError(.internal, "a value of shape \(place.shape) was not kept")
        }
        return try again()
    }
}

/// Where an operation's gradient writes what belongs to one of its inputs.
package struct GradientTarget {
    /// f32, of the input's count.
    package let tensor: Tensor
    /// Whether to add to what is there (otherwise the content is undefined: overwrite).
    package let accumulates: Bool
}

/// The record of one forward pass.
package final class Tape {
    private struct Entry {
        let output: Node
        /// Parameters among the inputs, where somebody waits for their gradients.
        let parameters: [Node]
        let backward: (Tensor) throws(USPError) -> Void
    }

    private var entries: [Entry] = []
    private let consume: ((_ parameter: Node, _ gradient: Tensor) throws(USPError) -> Void)?
    /// Entries not yet played that read a parameter.
    private var uses: [ObjectIdentifier: Int] = [:]
    /// Whether the gradient that an entry has just been given is nobody else's: it may be written
    /// over.
    package private(set) var ownsGradient = false

    /// - consume: takes the gradient of each parameter as soon as it is complete, while the pass
    ///   goes on; the gradient's memory is free afterwards. nil leaves it with the parameter
    package init(
        consume: ((_ parameter: Node, _ gradient: Tensor) throws(USPError) -> Void)? = nil
    ) {
        self.consume = consume
    }

    /// A tape for a part that is run again amid this one's backward pass: where only that part
    /// still reads a parameter, its gradient is handed on as soon as it is complete there.
    package func inner() -> Tape {
        guard let consume else { return Tape() }
        return Tape { [self] node, gradient throws(USPError) in
            if uses[ObjectIdentifier(node)] == 1 { return try consume(node, gradient) }
            node.gradient = gradient
        }
    }

    /// Records how the gradient of `output` (f32, its count) reaches the inputs.
    ///
    /// Nothing is kept if no input needs a gradient. The closure asks `target(for:)` for each.
    package func record(
        _ output: Tensor, inputs: [Tensor?],
        backward: @escaping (Tensor) throws(USPError) -> Void
    ) {
        guard inputs.contains(where: { $0?.node.requiresGradient == true }) else { return }
        output.node.requiresGradient = true
        var parameters: [Node] = []
        if consume != nil {
            parameters = inputs.compactMap { $0?.node }.filter { $0.isLeaf && $0.requiresGradient }
            for node in parameters { uses[ObjectIdentifier(node), default: 0] += 1 }
        }
        entries.append(Entry(output: output.node, parameters: parameters, backward: backward))
    }

    /// Where to write the gradient of `input`, or nil if nobody needs it.
    package func target(for input: Tensor?) throws(USPError) -> GradientTarget? {
        try target(for: input.map { Place($0) })
    }

    package func target(for place: Place?) throws(USPError) -> GradientTarget? {
        guard let place, place.node.requiresGradient else { return nil }
        let node = place.node
        guard let present = node.gradient else {
            let fresh = try Tensor(place.shape)
            node.gradient = fresh
            node.ownsGradient = true
            return GradientTarget(tensor: fresh, accumulates: false)
        }
        if !node.ownsGradient {
            node.gradient = try present.copied()
            node.ownsGradient = true
        }
        return GradientTarget(tensor: node.gradient ?? present, accumulates: true)
    }

    /// For an operation that writes its part of a gradient and what was there before in one pass:
    /// where to write, and what to add (the same memory, a shared gradient, or nothing).
    package func replacement(
        for input: Tensor?
    ) throws(USPError) -> (fresh: Tensor, present: Tensor?)? {
        guard let input, input.node.requiresGradient else { return nil }
        let node = input.node
        let present = node.gradient
        if let present, node.ownsGradient { return (present, present) }
        let fresh = try Tensor(input.shape)
        node.gradient = fresh
        node.ownsGradient = true
        return (fresh, present)
    }

    /// Hands a finished gradient to `input` without copying it where that is possible.
    ///
    /// `gradient` may be shared afterwards and must not be written any more.
    package func pass(_ gradient: Tensor, to input: Tensor?) throws(USPError) {
        try pass(gradient, to: input.map { Place($0) })
    }

    package func pass(_ gradient: Tensor, to place: Place?) throws(USPError) {
        guard let place, place.node.requiresGradient else { return }
        if place.node.gradient == nil {
            place.node.gradient = gradient
            place.node.ownsGradient = false
        } else if let target = try target(for: place) {
            try accumulate(gradient, into: target)
        }
    }

    /// Plays the tape backwards from `output`; the tape is empty afterwards.
    ///
    /// - gradient: f32, of the output's count; nil means ones (the output is a scalar loss).
    package func backward(from output: Tensor, gradient: Tensor? = nil) throws(USPError) {
        defer { forget() }
        let seed: Tensor
        if let gradient {
            try require(
                gradient.count == output.count, .shape,
                "gradient \(gradient.shape) for the output \(output.shape)")
            seed = gradient
        } else {
            seed = try Tensor.filled(output.shape, 1)
        }
        output.node.gradient = seed
        output.node.ownsGradient = false
        while let entry = entries.last {
            // Whoever wanted the value once more has been played.
            entry.output.again = nil
            if let gradient = entry.output.gradient {
                entry.output.gradient = nil
                ownsGradient = entry.output.ownsGradient
                try entry.backward(gradient)
            }
            try release(entry.parameters)
            entries.removeLast()
        }
    }

    /// Counts one use less; hands on what is complete.
    private func release(_ parameters: [Node]) throws(USPError) {
        guard let consume else { return }
        for node in parameters {
            let left = uses[ObjectIdentifier(node), default: 1] - 1
            uses[ObjectIdentifier(node)] = left
            guard left == 0, let gradient = node.gradient else { continue }
            node.gradient = nil
            try consume(node, gradient)
        }
    }

    /// Drops what was recorded, and every intermediate gradient with it. Whoever makes a tape does so
    /// at the end: what is recorded refers to the tape, so that a pass that fails before it is played
    /// back would keep its activations for ever.
    package func forget() {
        for entry in entries {
            if !entry.output.isLeaf { entry.output.gradient = nil }
            for node in entry.parameters { node.gradient = nil }
        }
        entries.removeAll(keepingCapacity: true)
        uses.removeAll(keepingCapacity: true)
    }
}

/// Adds (or writes) a gradient to its target.
package func accumulate(_ gradient: Tensor, into target: GradientTarget) throws(USPError) {
    if target.accumulates {
        try addInPlace(target.tensor, gradient)
    } else {
        try target.tensor.copy(from: gradient)
    }
}
