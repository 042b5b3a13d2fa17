// Files that models and checkpoints view, and others write to.

import USPFiles

/// Large files are viewed in place, not copied. Others may replace them by renaming. Where they write
/// into one, functions of the C interface and whatever reads a checkpoint throw an error of kind
/// `.io` until it is opened again; Swift programs ask `Model.expectFilesUnchanged`.
public enum FilesInUse {
    /// How often a part of one that was cut short was missing so far; it reads as zeros. A call
    /// during which this grows has used them.
    public static var damages: UInt32 { MappedFile.damages }
}
