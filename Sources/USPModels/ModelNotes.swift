// What a model's file tells of its training beside its sizes: which classes, whose latents.

import USPBase
import USPFiles

/// Facts of a model's training that its parameters do not tell.
public struct ModelNotes: Sendable, Equatable {
    /// Names of the classes in the order of their labels; empty where they are not known.
    public var classNames: [String] = []
    /// The fingerprint of the autoencoder whose latents the model was trained on.
    public var autoencoder: String?
    /// What became of the null class; nil where nothing is known of it.
    public var null: Null?
    /// What a network of pixels has learned to see, where it is not -1 to 1: "imagenet".
    public var normalization: String?

    /// A null class that is not trained.
    public enum Null: String, Sendable {
        /// Nothing of the model is: it was transferred.
        case fresh
        /// The model is, but every sample had its label: guidance has nothing to move away from.
        case untrained
    }

    public init() {}

    private enum Key {
        static let classNames = "usp.class_names"
        static let autoencoder = "usp.autoencoder"
        static let null = "usp.null_class"
        static let normalization = "usp.normalization"
    }

    /// From a file's texts; what is damaged or absent stays unknown.
    package init(_ metadata: [(key: String, value: String)]) {
        for (key, value) in metadata {
            switch key {
            case Key.classNames:
                let names = (try? JSON(parsing: value))?.elements?.compactMap(\.text) ?? []
                classNames = names
            case Key.autoencoder: autoencoder = value
            case Key.null: null = Null(rawValue: value)
            case Key.normalization: normalization = value
            default: break
            }
        }
    }

    /// The texts of a file that `init` reads.
    package var metadata: [(key: String, value: String)] {
        var result: [(key: String, value: String)] = []
        if !classNames.isEmpty {
            result.append((Key.classNames, JSON.array(classNames.map(JSON.string)).compact))
        }
        if let autoencoder { result.append((Key.autoencoder, autoencoder)) }
        if let null { result.append((Key.null, null.rawValue)) }
        if let normalization { result.append((Key.normalization, normalization)) }
        return result
    }

    /// What goes on with weights that move to another model: the latents stay the same.
    ///
    /// - hasFreshLabels: whether its classes start afresh
    package func transferred(hasFreshLabels: Bool) -> ModelNotes {
        var result = ModelNotes()
        result.autoencoder = autoencoder
        if hasFreshLabels { result.null = .fresh }
        return result
    }
}
