// A model's parameters: one slab of f32 and a table. Optimiser, averaging, clipping, all-reduce and
// saving are each one loop over it.

import USPBase
import USPFiles
import USPTensor

/// The parameters of one model, by name, over one slab or over borrowed memory.
///
/// Reading is safe from any thread. Writers (`initialize`, optimisers, `load`) own the object and
/// call `invalidateCopies` when they are done.
package final class Parameters: @unchecked Sendable {
    // SAFETY of @unchecked: the tables never change after `init`; contents by the rule above.
    package let specs: [ParameterSpec]
    /// All values in the order of `specs`, each aligned to 16 elements; nil when borrowed.
    package let slab: Tensor?
    /// Gradients in the slab's layout, once `keepGradients()` has been called.
    package private(set) var gradients: Tensor?
    /// What the model was trained on; set before it is shared.
    package var notes = ModelNotes()

    private let tensors: [Tensor]
    /// The files that borrowed values lie in.
    private let files: [MappedFile]
    private let indices: [String: Int]
    /// First element of each parameter in the slab.
    package let offsets: [Int]

    /// Undefined values in a slab of their own; follow with `initialize` or loading.
    package init(_ specs: [ParameterSpec]) throws(USPError) {
        let layout = try Parameters.layout(specs)
        let slab = try Tensor.zeros([layout.count])
        self.specs = specs
        self.slab = slab
        offsets = layout.offsets
        indices = try Parameters.index(specs)
        var views: [Tensor] = []
        for (spec, offset) in zip(specs, layout.offsets) {
            views.append(
                Tensor(
                    spec.shape, .float32, storage: slab.storage,
                    byteOffset: slab.byteOffset + offset * 4))
        }
        tensors = views
        files = []
    }

    /// Values in memory that `storage` keeps alive (a mapped file): read-only, for inference.
    package init(_ specs: [ParameterSpec], borrowing views: [Tensor]) throws(USPError) {
        try require(
            specs.count == views.count, .internal, "\(views.count) views, \(specs.count) parameters"
        )
        for (spec, view) in zip(specs, views) { try expect(view, spec.shape, spec.name) }
        self.specs = specs
        slab = nil
        offsets = []
        indices = try Parameters.index(specs)
        tensors = views
        var owners: [MappedFile] = []
        for case let file as MappedFile in views.map(\.storage.owner)
        where !owners.contains(where: { $0 === file }) { owners.append(file) }
        files = owners
    }

    /// - Throws: `.io` if a file that borrowed values lie in was written to or cut short
    package func expectUnchanged() throws(USPError) {
        for file in files { try file.expectUnchanged() }
    }

    private static func layout(
        _ specs: [ParameterSpec]
    ) throws(USPError) -> (offsets: [Int], count: Int) {
        var offsets: [Int] = []
        var count = 0
        for spec in specs {
            let shape = try Shape.checked(spec.shape.extents, spec.name)
            offsets.append(count)
            count = try CheckedMath.add(count, (shape.count + 15) / 16 * 16, spec.name)
        }
        return (offsets, count)
    }

    private static func index(_ specs: [ParameterSpec]) throws(USPError) -> [String: Int] {
        var indices: [String: Int] = [:]
        for (position, spec) in specs.enumerated() {
            guard indices.updateValue(position, forKey: spec.name) == nil else {
                throw USPError(.internal, "two parameters are called \(spec.name)")
            }
        }
        return indices
    }

    package var count: Int { specs.reduce(0) { $0 + $1.shape.count } }

    /// The parameter of this name.
    package func tensor(_ name: String) throws(USPError) -> Tensor {
        guard let index = indices[name] else {
            throw USPError(.missingWeight, "the model has no parameter \(name)")
        }
        return tensors[index]
    }

    package func contains(_ name: String) -> Bool { indices[name] != nil }
    package subscript(position: Int) -> Tensor { tensors[position] }
    package func index(of name: String) -> Int? { indices[name] }

    /// Every parameter by its initialiser, from a stream of its own name.
    package func initialize(_ key: RandomKey) {
        for (spec, tensor) in zip(specs, tensors) {
            spec.initializer.fill(
                UnsafeMutableBufferPointer(start: tensor.floats, count: tensor.count),
                key.stream(spec.name))
        }
        invalidateCopies()
    }

    /// Drops packed copies: call after writing values.
    package func invalidateCopies() {
        for tensor in tensors { tensor.node.packed.invalidate() }
    }

    /// Marks the trainable parameters (that `chosen` accepts) as trained; the others take no
    /// gradient.
    ///
    /// - keepsGradients: whether gradients get their slab at once, see `keepGradients`
    package func makeTrainable(
        keepsGradients: Bool = true, where chosen: (ParameterSpec) -> Bool = { _ in true }
    ) throws(USPError) {
        guard slab != nil else {
            throw USPError(
                .unsupported, "parameters in a mapped file are read-only; copy them to train")
        }
        for (position, spec) in specs.enumerated() {
            if spec.isTrainable && chosen(spec) {
                tensors[position].node.setTrained()
            } else {
                tensors[position].node.setLeaf(gradient: nil)
            }
        }
        invalidateCopies()
        if keepsGradients { try keepGradients() }
    }

    /// Whether the parameter at this position is trained.
    package func isTrained(_ position: Int) -> Bool { tensors[position].node.requiresGradient }

    /// Gives every trained parameter a place in one slab of gradients, zeroed when it is made,
    /// where gradients add up. Without it each backward pass hands out its gradients and forgets
    /// them.
    package func keepGradients() throws(USPError) {
        guard slab != nil else { return }
        let gradients = try slabOfGradients()
        for position in specs.indices where isTrained(position) {
            tensors[position].node.setLeaf(gradient: view(of: gradients, at: position))
        }
    }

    /// The slab of gradients, zeroed when it is made; backward passes do not know it.
    ///
    /// - Throws: `.unsupported` for parameters in a mapped file
    package func slabOfGradients() throws(USPError) -> Tensor {
        if let gradients { return gradients }
        guard let slab else {
            throw USPError(.unsupported, "parameters in a mapped file have no gradients")
        }
        let fresh = try Tensor.zeros(slab.shape)
        gradients = fresh
        return fresh
    }

    /// The place of a parameter in a tensor of the slab's layout.
    package func view(of slab: Tensor, at position: Int) -> Tensor {
        Tensor(
            specs[position].shape, .float32, storage: slab.storage,
            byteOffset: slab.byteOffset + offsets[position] * 4)
    }

    package func zeroGradients() { gradients?.fillWithZeros() }

    /// The kept gradient of the parameter at this position, if it is trained.
    package func gradient(_ position: Int) -> Tensor? { tensors[position].node.gradient }

    /// The same table with values of its own.
    package func copied() throws(USPError) -> Parameters {
        let result = try Parameters(specs)
        for (position, tensor) in tensors.enumerated() {
            try result.tensors[position].copy(from: tensor)
            tensor.releasePages()
        }
        result.notes = notes
        return result
    }
}
