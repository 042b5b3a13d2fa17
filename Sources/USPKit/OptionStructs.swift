// Which tables of fields are options structs of the C interface. `make abi` writes their part of the
// header, of Python and of the tool from them.

import USPBase
import USPDiffusion

/// An options struct: its C name, the header `include/usp/<header>.h` that declares it, its table.
package struct OptionStruct: Sendable {
    package let name: String
    package let header: String
    package let table: any Described.Type

    init(_ name: String, in header: String, _ table: any Described.Type) {
        (self.name, self.header, self.table) = (name, header, table)
    }
}

package let optionStructs = [
    OptionStruct("usp_rand_augment_options", in: "augment", RandAugment.self),
    OptionStruct("usp_erasing_options", in: "augment", RandomErasing.self),
    OptionStruct("usp_mixing_options", in: "augment", Mixing.self),
    OptionStruct("usp_distortion_options", in: "segmentation", PhotometricDistortion.self),
    OptionStruct("usp_segmentation_options", in: "segmentation", SegmentationTransform.self),
    OptionStruct("usp_checkpoint_options", in: "checkpoint", Checkpoint.OpenOptions.self),
    OptionStruct("usp_save_options", in: "checkpoint", Checkpoint.SaveOptions.self),
    OptionStruct("usp_denoiser", in: "denoiser", Denoiser.Options.self),
    OptionStruct("usp_sample_options", in: "sampler", SampleOptions.self),
    OptionStruct("usp_diffusion_options", in: "diffusion", Diffusion.Options.self),
    OptionStruct("usp_transport_options", in: "transport", Transport.Options.self),
    OptionStruct("usp_model_options", in: "model", LoadOptions.self),
    OptionStruct("usp_vae_options", in: "vae", VAE.Options.self),
    OptionStruct("usp_mae_options", in: "mae", MaskedAutoencoder.Options.self),
    OptionStruct("usp_mar_options", in: "mar", MAR.Options.self),
    OptionStruct("usp_mar_sample_options", in: "mar", MAR.SampleOptions.self),
    OptionStruct("usp_segmenter_options", in: "segmenter", Segmenter.Options.self),
    OptionStruct("usp_window_options", in: "segmenter", Segmenter.Windows.self),
    OptionStruct("usp_transfer_options", in: "transfer", TransferOptions.self),
    OptionStruct("usp_inception_options", in: "inception", Inception.Options.self),
    OptionStruct("usp_trainer_options", in: "trainer", TrainerOptions.self),
    OptionStruct("usp_data_options", in: "data", DataOptions.self),
    OptionStruct("usp_robustness_options", in: "understand", Robustness.Options.self),
    OptionStruct("usp_probe_options", in: "understand", DiffusionProbe.Options.self),
    OptionStruct("usp_run_options", in: "run", RunOptions.self),
]
