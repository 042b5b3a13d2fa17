import Glibc
/// Deletes a test's file.
func removeFile(_ path: String) -> Bool { unlink(path) == 0 }
