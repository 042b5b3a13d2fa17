// What a stage draws on the way, until event files have it.

import USPBase
import USPFiles
import USPTraining

/// Pictures that were drawn and not taken yet. Any thread.
final class DrawnPictures: Sendable {
    private let pictures = Lock<[Run.Preview]>([])

    func add(_ name: String, _ picture: PixelImage) {
        pictures.withLock { $0.append(Run.Preview(name, picture)) }
    }

    func take() -> [Run.Preview] {
        pictures.withLock { pictures in
            defer { pictures = [] }
            return pictures
        }
    }
}
