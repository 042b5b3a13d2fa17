// What a model's file tells of its training beside its sizes: which classes, whose latents.

import USPBase
import USPFiles

/// Facts of a model's training that its parameters do not tell.
public struct ModelNotes: Sendable, Equatable {
    /// Names of the classes in the order of their labels; empty where they are not known.
    public var classNames: [String] = []
    /// The fingerprint of the autoencoder whose latents the model was trained on.
    public var autoencoder: String?
    /// Scale and shift of those latents; nil where they are not known.
    public var latents: LatentScale?
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

    /// Whether guidance has something to move away from.
    ///
    /// - Throws: `.argument` unless the null class was trained, as far as that is known
    package func expectTrainedNull(_ name: String) throws(USPError) {
        guard let null else { return }
        let reason = null == .fresh ? "its labels are a transfer's, fresh" : "label_dropout was 0"
        throw USPError(
            .argument,
            "\(name): the model's null class was never trained (\(reason)), there is nothing to move "
                + "away from; train with label_dropout 0.1, or give a scale of 1")
    }

    public init() {}

    private enum Key {
        static let classNames = "usp.class_names"
        static let autoencoder = "usp.autoencoder"
        static let scale = "usp.latent_scale"
        static let shift = "usp.latent_shift"
        static let null = "usp.null_class"
        static let normalization = "usp.normalization"
    }

    /// From a file's texts; what is damaged or absent stays unknown.
    package init(_ metadata: [(key: String, value: String)]) {
        var (scale, shift): ([Float], [Float]) = ([], [])
        for (key, value) in metadata {
            switch key {
            case Key.classNames:
                let names = (try? JSON(parsing: value))?.elements?.compactMap(\.text) ?? []
                classNames = names
            case Key.autoencoder: autoencoder = value
            case Key.scale: scale = Self.numbers(value)
            case Key.shift: shift = Self.numbers(value)
            case Key.null: null = Null(rawValue: value)
            case Key.normalization: normalization = value
            default: break
            }
        }
        if !scale.isEmpty, !shift.isEmpty { latents = LatentScale(scale, shift) }
    }

    private static func numbers(_ text: String) -> [Float] {
        text.split(separator: ",").compactMap { Float(String($0)) }.filter(\.isFinite)
    }

    /// The texts of a file that `init` reads.
    package var metadata: [(key: String, value: String)] {
        var result: [(key: String, value: String)] = []
        if !classNames.isEmpty {
            result.append((Key.classNames, JSON.array(classNames.map(JSON.string)).compact))
        }
        if let autoencoder { result.append((Key.autoencoder, autoencoder)) }
        if let latents {
            result.append((Key.scale, latents.scale.map { "\($0)" }.joined(separator: ",")))
            result.append((Key.shift, latents.shift.map { "\($0)" }.joined(separator: ",")))
        }
        if let null { result.append((Key.null, null.rawValue)) }
        if let normalization { result.append((Key.normalization, normalization)) }
        return result
    }

    /// What a transfer makes of the parameters that classes have rows in.
    package enum Rows { case absent, fresh, moved }

    /// What goes on with weights that move to another model: the latents stay the same.
    ///
    /// - labels: a generator's table
    /// - head: a classifier's
    package func transferred(labels: Rows, head: Rows) -> ModelNotes {
        var result = ModelNotes()
        (result.autoencoder, result.latents) = (autoencoder, latents)
        if labels == .moved || head == .moved { result.classNames = classNames }
        switch labels {
        case .absent: break
        case .fresh: result.null = .fresh
        case .moved: result.null = null
        }
        return result
    }
}

extension ModelNotes {
    /// Whose latents they are, and how scaled, that are not those of the training; nil where they are,
    /// or where too little is known. Older files tell no scale.
    ///
    /// - words: before the autoencoder, and before the scale, of these latents
    package func difference(
        from autoencoder: String?, _ latents: LatentScale?,
        words: (autoencoder: String, scale: String)
    ) -> String? {
        guard let known = self.autoencoder, let autoencoder else { return nil }
        guard known == autoencoder else {
            return "was trained on latents of the autoencoder \(known), "
                + "\(words.autoencoder) \(autoencoder)"
        }
        guard let scale = self.latents, let latents, !scale.isNear(latents) else { return nil }
        return "was trained on latents of \(scale.words), \(words.scale) \(latents.words)"
    }
}
