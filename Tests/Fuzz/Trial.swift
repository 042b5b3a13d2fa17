// One damaged file through its reader, watched for time and memory.

import USPBase
import USPFiles

struct Trial {
    private(set) var defects = 0
    private var runs = 0
    private var opened = 0
    private var slowest = Duration.zero
    private let residentAtStart = SystemMemory.peakResident
    private let patience: Duration

    /// - patience: how long a file may take
    init(patience: Duration) { self.patience = patience }

    mutating func run(_ sample: Sample, _ bytes: [UInt8]) {
        runs += 1
        let clock = ContinuousClock()
        let time = clock.measure { read(sample, bytes) }
        slowest = max(slowest, time)
        if time > patience { complain(sample, bytes, "took \(time)") }
    }

    private mutating func read(_ sample: Sample, _ bytes: [UInt8]) {
        do throws(USPError) {
            let view = try ByteBuffer(bytes).view
            switch sample.reader {
            case .archive:
                let archive = try Archive.read(view, path: "fuzz")
                for entry in archive.entries { _ = try entry.bytes() }
            case .image: _ = try PixelImage.decode(view)
            case .json: _ = try JSON(parsing: view, "fuzz")
            }
            opened += 1
        } catch {
            if error.message.isEmpty { complain(sample, bytes, "an error without words") }
            if error.kind == .internal { complain(sample, bytes, "an internal error: \(error)") }
        }
    }

    private mutating func complain(_ sample: Sample, _ bytes: [UInt8], _ problem: String) {
        defects += 1
        let path = "fuzz-\(defects)-\(sample.name)"
        print("usp-fuzz: \(sample.name): \(problem); the file is kept as \(path)")
        guard let file = try? AtomicFile(path) else { return }
        try? file.write(bytes)
        try? file.commit()
    }

    mutating func report() {
        let grown = (SystemMemory.peakResident - residentAtStart) >> 20
        if grown > 512 {
            defects += 1
            print("usp-fuzz: memory grew by \(grown) MiB")
        }
        print(
            "usp-fuzz: \(runs) damaged files, \(opened) still readable, slowest "
                + "\(slowest), memory grown by \(grown) MiB, \(defects) defects")
    }
}
