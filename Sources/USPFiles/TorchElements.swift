// From a tensor or an array of a pickle to an entry over the bytes that it describes.

import USPBase

/// The arrays that a PyTorch file's objects stand for.
struct TorchElements {
    private let arena: PickleArena
    private let fileSize: Int
    private let isBigEndian: Bool
    private let content: TorchTables.Content

    init(
        _ arena: PickleArena, fileSize: Int, isBigEndian: Bool,
        content: @escaping TorchTables.Content
    ) {
        self.arena = arena
        self.fileSize = fileSize
        self.isBigEndian = isBigEndian
        self.content = content
    }

    /// - full: the name for messages
    /// - Throws: `.dtype`, `.unsupported` for an array that cannot be read, with the reason alone;
    ///   `.format` for a file that is damaged, with the full name in front
    func entry(
        _ value: PickleValue, name: String, full: String
    ) throws(USPError) -> ArchiveEntry {
        do throws(USPError) {
            switch value {
            case .tensor(let index): return try tensor(arena.tensors[index], name)
            case .array(let index): return try array(arena.arrays[index], name)
            default: throw USPError(.internal, "\(value.kind) is no array")
            }
        } catch {
            let isOdd = error.kind == .dtype || error.kind == .unsupported
            guard isOdd else { throw error.at(full) }
            let place = "\(name): "
            throw error.message.hasPrefix(place)
                ? USPError(error.kind, String(error.message.dropFirst(place.count))) : error
        }
    }

    private func tensor(_ tensor: PickleTensor, _ name: String) throws(USPError) -> ArchiveEntry {
        let storage = arena.storages[tensor.storage]
        let typeName = tensor.typeName ?? storage.typeName
        let type = tensor.typeName == nil ? storage.type : TorchTypes.names[typeName]
        guard let type, let unit = storage.isUntyped ? 1 : storage.type?.storedSize else {
            let extents = tensor.shape.map(String.init).joined(separator: ", ")
            throw USPError(.dtype, "element type \(typeName) is not read, [\(extents)]")
        }
        let (bytes, seal) = try content(storage.key)
        let start = try CheckedMath.multiply(storage.offset, unit, "storage")
        let size = try CheckedMath.multiply(storage.count, unit, "storage")
        return try ArchiveEntry.checked(
            name, type, tensor.shape, strides: tensor.strides, offset: tensor.offset,
            storage: try bytes.part(start, size, "storage"), limit: fileSize,
            isBigEndian: isBigEndian, seal: seal)
    }

    private func array(_ array: PickleArray, _ name: String) throws(USPError) -> ArchiveEntry {
        guard let (dtype, isBigEndian) = Npy.type(array.code), let bytes = array.bytes else {
            let words = NumPyType.unread(array.code)
            throw USPError(.dtype, "a NumPy array, \(words), \(Shape(array.shape))")
        }
        let strides = try NpyHeader.strides(array.shape, isFortran: array.isFortran, name)
        return try ArchiveEntry.checked(
            name, ElementType(dtype), array.shape, strides: strides, offset: 0, storage: bytes,
            limit: fileSize, isBigEndian: isBigEndian)
    }
}
