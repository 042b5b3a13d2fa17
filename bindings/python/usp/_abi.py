"""Generated from include/usp.h by generate_abi.py: do not edit."""

from ctypes import (
    CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_float,
    c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_uint8, c_void_p,
)
from enum import IntEnum

HEADER_SHA256 = "1f767f65884ca2e9bef00873268fe374acfc3d033e0edc553c13dd1deb15ac46"
USP_VERSION_MAJOR = 0
USP_VERSION_MINOR = 1
USP_VERSION_PATCH = 0
USP_ABI_VERSION = 2
USP_MAX_RANK = 8


class usp_status(IntEnum):
    USP_OK = 0
    USP_ERROR_ARGUMENT = -1
    USP_ERROR_SHAPE = -2
    USP_ERROR_DTYPE = -3
    USP_ERROR_IO = -4
    USP_ERROR_FORMAT = -5
    USP_ERROR_MISSING_WEIGHT = -6
    USP_ERROR_UNSUPPORTED = -7
    USP_ERROR_MEMORY = -8
    USP_ERROR_CANCELLED = -9
    USP_ERROR_CALLBACK = -10
    USP_ERROR_INTERNAL = -11
    USP_ERROR_NOT_FINITE = -12


class usp_dtype(IntEnum):
    USP_F32 = 0
    USP_BF16 = 1
    USP_F16 = 2
    USP_F64 = 3
    USP_I64 = 4
    USP_I32 = 5
    USP_I16 = 6
    USP_I8 = 7
    USP_U8 = 8
    USP_BOOL = 9


class usp_tensor(Structure):
    pass


usp_tensor._fields_ = [
    ("data", c_void_p),
    ("shape", c_int64 * 8),
    ("strides", c_int64 * 8),
    ("rank", c_int32),
    ("dtype", c_int),
]


class usp_progress(Structure):
    pass


usp_progress._fields_ = [
    ("stage", c_char_p),
    ("step", c_int64),
    ("steps", c_int64),
    ("seconds", c_double),
    ("latents", POINTER(usp_tensor)),
]


usp_progress_fn = CFUNCTYPE(c_int32, POINTER(usp_progress), c_void_p)


class usp_checkpoint(Structure):
    """Opaque."""


class usp_checkpoint_options(Structure):
    pass


usp_checkpoint_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("table", c_char_p),
]


class usp_save_options(Structure):
    pass


usp_save_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("format", c_char_p),
    ("dtype", c_char_p),
    ("tables", c_char_p),
    ("checksums", c_int64),
]


class usp_image(Structure):
    """Opaque."""


class usp_model(Structure):
    """Opaque."""


class usp_model_options(Structure):
    pass


usp_model_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("heads", c_int64),
    ("decoder_heads", c_int64),
    ("scale", c_double),
    ("shift", c_double),
    ("grid_height", c_int64),
    ("grid_width", c_int64),
    ("exact", c_int64),
    ("family", c_char_p),
    ("table", c_char_p),
    ("compute", c_char_p),
    ("pool", c_char_p),
    ("groups", c_int64),
    ("epsilon", c_double),
    ("null_class", c_int64),
    ("ignore", c_char_p),
    ("strict", c_int64),
    ("out_indices", c_char_p),
    ("statistics", POINTER(usp_checkpoint)),
    ("multiplier", c_double),
    ("positions", c_char_p),
    ("encoder_depth", c_int64),
    ("activation", c_char_p),
]


class usp_vae_options(Structure):
    pass


usp_vae_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("scaled", c_int64),
    ("tile", c_int64),
    ("overlap", c_int64),
    ("exact", c_int64),
]


class usp_mae_options(Structure):
    pass


usp_mae_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("noise", POINTER(usp_tensor)),
    ("target", POINTER(usp_tensor)),
    ("mask_ratio", c_double),
    ("seed", c_uint64),
    ("norm_pix_loss", c_int64),
    ("norm_image", c_int64),
    ("add_noise", c_int64),
]


class usp_mar_options(Structure):
    pass


usp_mar_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("mask", POINTER(usp_tensor)),
    ("times", POINTER(usp_tensor)),
    ("noise", POINTER(usp_tensor)),
    ("mask_ratio", c_double),
    ("copies", c_int64),
    ("seed", c_uint64),
]


class usp_mar_sample_options(Structure):
    pass


usp_mar_sample_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("orders", POINTER(usp_tensor)),
    ("z", POINTER(usp_tensor)),
    ("noise", POINTER(usp_tensor)),
    ("progress", usp_progress_fn),
    ("progress_user", c_void_p),
    ("preview", usp_progress_fn),
    ("preview_user", c_void_p),
    ("iterations", c_int64),
    ("cfg_scale", c_double),
    ("cfg_schedule", c_char_p),
    ("temperature", c_double),
    ("respacing", c_char_p),
    ("last_steps", c_int64),
    ("seed", c_uint64),
    ("generator", c_char_p),
    ("first_sample", c_int64),
    ("total_samples", c_int64),
    ("preview_interval", c_int64),
]


usp_denoise_fn = CFUNCTYPE(c_int32, POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), c_void_p)


class usp_denoiser(Structure):
    pass


usp_denoiser._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("model", POINTER(usp_model)),
    ("function", usp_denoise_fn),
    ("user", c_void_p),
    ("cfg_scales", POINTER(usp_tensor)),
    ("cfg_scale", c_double),
    ("cfg_channels", c_int64),
    ("cfg_begin", c_double),
    ("cfg_end", c_double),
    ("null_class", c_int64),
    ("out_channels", c_int64),
]


usp_start_fn = CFUNCTYPE(c_int32, POINTER(usp_tensor), c_void_p)


class usp_sample_options(Structure):
    pass


usp_sample_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("noise", POINTER(usp_tensor)),
    ("progress", usp_progress_fn),
    ("progress_user", c_void_p),
    ("preview", usp_progress_fn),
    ("preview_user", c_void_p),
    ("adjust_start", usp_start_fn),
    ("adjust_user", c_void_p),
    ("method", c_char_p),
    ("steps", c_int64),
    ("seed", c_uint64),
    ("generator", c_char_p),
    ("first_sample", c_int64),
    ("total_samples", c_int64),
    ("clip", c_int64),
    ("eta", c_double),
    ("atol", c_double),
    ("rtol", c_double),
    ("timestep_shift", c_double),
    ("form", c_char_p),
    ("norm", c_double),
    ("last_step", c_char_p),
    ("last_step_size", c_double),
    ("preview_interval", c_int64),
    ("null_half", c_int64),
    ("reuse_interval", c_int64),
    ("reuse_threshold", c_double),
    ("reuse_order", c_int64),
    ("null_interval", c_int64),
]


class usp_diffusion(Structure):
    """Opaque."""


class usp_diffusion_options(Structure):
    pass


usp_diffusion_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("training_steps", c_int64),
    ("schedule", c_char_p),
    ("respacing", c_char_p),
    ("prediction", c_char_p),
    ("variance", c_char_p),
    ("loss", c_char_p),
]


class usp_transport(Structure):
    """Opaque."""


class usp_transport_options(Structure):
    pass


usp_transport_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("path", c_char_p),
    ("prediction", c_char_p),
    ("loss_weight", c_char_p),
    ("train_epsilon", c_double),
    ("sample_epsilon", c_double),
    ("noise_at", c_int64),
    ("times", c_char_p),
    ("cosine_loss", c_int64),
]


class usp_ranks(Structure):
    """Opaque."""


usp_reduce_scatter_fn = CFUNCTYPE(c_int32, POINTER(c_float), POINTER(c_float), c_size_t, c_void_p)


usp_all_gather_fn = CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t, c_void_p)


usp_broadcast_fn = CFUNCTYPE(c_int32, c_void_p, c_size_t, c_int32, c_void_p)


usp_barrier_fn = CFUNCTYPE(c_int32, c_void_p)


usp_allreduce_fn = CFUNCTYPE(c_int32, POINTER(c_float), c_size_t, c_void_p)


class usp_data(Structure):
    """Opaque."""


class usp_data_options(Structure):
    pass


usp_data_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("progress", usp_progress_fn),
    ("progress_user", c_void_p),
    ("batch", c_int64),
    ("size", c_int64),
    ("channels", c_int64),
    ("augmentation", c_char_p),
    ("mirror", c_double),
    ("crop_area", c_char_p),
    ("sample_posterior", c_int64),
    ("cache", c_char_p),
    ("order", c_char_p),
    ("seed", c_uint64),
    ("ranks", POINTER(usp_ranks)),
    ("as_stored", c_int64),
    ("skip_unreadable", c_int64),
    ("masks", c_char_p),
    ("reduce_zero_label", c_int64),
    ("teacher", POINTER(usp_model)),
    ("teacher_encoder", c_char_p),
    ("teacher_size", c_int64),
    ("feature_type", c_char_p),
    ("rand_augment", c_char_p),
    ("erasing", c_double),
    ("erasing_fill", c_char_p),
    ("erasing_count", c_int64),
    ("mixup", c_double),
    ("cutmix", c_double),
    ("mixing_probability", c_double),
    ("switch_probability", c_double),
    ("mixing_unit", c_char_p),
    ("label_smoothing", c_double),
    ("mix_pixels", c_int64),
    ("normalization", c_char_p),
]


class usp_trainer(Structure):
    """Opaque."""


class usp_trainer_options(Structure):
    pass


usp_trainer_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("optimizer", c_char_p),
    ("rate", c_double),
    ("minimum_rate", c_double),
    ("warmup", c_int64),
    ("steps", c_int64),
    ("weight_decay", c_double),
    ("beta1", c_double),
    ("beta2", c_double),
    ("average_decay", c_double),
    ("average_warms_up", c_int64),
    ("clip_norm", c_double),
    ("layer_decay", c_double),
    ("accumulation", c_int64),
    ("dtype", c_char_p),
    ("exact", c_int64),
    ("seed", c_uint64),
    ("recompute", c_char_p),
    ("mask_ratio", c_double),
    ("norm_pix_loss", c_int64),
    ("norm_image", c_int64),
    ("add_noise", c_int64),
    ("kl_weight", c_double),
    ("reconstruction", c_char_p),
    ("label_smoothing", c_double),
    ("drop_path", c_double),
    ("head_only", c_int64),
    ("label_dropout", c_double),
    ("diffusion", POINTER(usp_diffusion)),
    ("transport", POINTER(usp_transport)),
    ("ranks", POINTER(usp_ranks)),
    ("schedule", c_char_p),
    ("dropout", c_double),
    ("average", c_char_p),
    ("ignored", c_int64),
    ("copies", c_int64),
    ("attention_dropout", c_double),
    ("align", c_double),
    ("parts", c_int64),
    ("teacher_width", c_int64),
    ("distmat_margin", c_double),
    ("cos_margin", c_double),
    ("shard", c_int64),
    ("overlap", c_int64),
    ("reduction", c_char_p),
]


class usp_batch(Structure):
    pass


usp_batch._fields_ = [
    ("struct_size", c_uint32),
    ("feature_count", c_int32),
    ("inputs", POINTER(usp_tensor)),
    ("labels", POINTER(usp_tensor)),
    ("times", POINTER(usp_tensor)),
    ("noise", POINTER(usp_tensor)),
    ("target", POINTER(usp_tensor)),
    ("features", POINTER(usp_tensor)),
    ("mask", POINTER(usp_tensor)),
]


class usp_run(Structure):
    """Opaque."""


class usp_run_progress(Structure):
    pass


usp_run_progress._fields_ = [
    ("step", c_int64),
    ("steps", c_int64),
    ("epoch", c_double),
    ("loss", c_double),
    ("rate", c_double),
    ("images_per_second", c_double),
    ("seconds", c_double),
]


usp_run_progress_fn = CFUNCTYPE(c_int32, POINTER(usp_run_progress), c_void_p)


usp_run_evaluate_fn = CFUNCTYPE(c_int32, POINTER(usp_run), c_void_p)


class usp_run_options(Structure):
    pass


usp_run_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("progress", usp_run_progress_fn),
    ("progress_user", c_void_p),
    ("evaluate", usp_run_evaluate_fn),
    ("evaluate_user", c_void_p),
    ("steps", c_int64),
    ("epochs", c_double),
    ("save_every", c_int64),
    ("log_every", c_int64),
    ("restart", c_int64),
    ("averaged", c_int64),
    ("command", c_char_p),
    ("evaluate_every", c_int64),
    ("log_dir", c_char_p),
]


class usp_stage(Structure):
    """Opaque."""


class usp_transfer_plan(Structure):
    """Opaque."""


class usp_transfer_options(Structure):
    pass


usp_transfer_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("grid_height", c_int64),
    ("grid_width", c_int64),
    ("classes", c_int64),
    ("patch", c_int64),
    ("channels", c_int64),
    ("layers", c_int64),
    ("seed", c_uint64),
    ("affine", c_int64),
    ("keep_activation", c_int64),
    ("channel_rule", c_char_p),
    ("depth_rule", c_char_p),
    ("pool", c_char_p),
    ("head", c_char_p),
    ("gate_bias", c_double),
    ("block", c_int64),
    ("timestep", c_double),
    ("label", c_int64),
    ("table", c_char_p),
    ("heads", c_int64),
    ("decoder_heads", c_int64),
    ("ignore", c_char_p),
    ("head_channels", c_int64),
    ("relative_positions", c_int64),
    ("buffer", c_int64),
    ("head_width", c_int64),
    ("head_depth", c_int64),
    ("decoder_rule", c_char_p),
    ("rms_norm", c_int64),
    ("swiglu", c_int64),
    ("rope", c_int64),
    ("qk_norm", c_int64),
    ("shift", c_int64),
    ("norm_rule", c_char_p),
    ("fold_norms", c_int64),
    ("learn_sigma", c_int64),
    ("projections", c_char_p),
    ("projector", c_int64),
    ("encoder_depth", c_int64),
]


class usp_inception_options(Structure):
    pass


usp_inception_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("preprocessing", c_char_p),
]


class usp_rand_augment_options(Structure):
    pass


usp_rand_augment_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("layers", c_int64),
    ("probability", c_double),
    ("magnitude", c_double),
    ("magnitude_std", c_double),
    ("increasing", c_int64),
    ("operations", c_char_p),
]


class usp_erasing_options(Structure):
    pass


usp_erasing_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("erasing", c_double),
    ("erasing_fill", c_char_p),
    ("erasing_count", c_int64),
]


class usp_mixing_options(Structure):
    pass


usp_mixing_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("mixup", c_double),
    ("cutmix", c_double),
    ("mixing_probability", c_double),
    ("switch_probability", c_double),
    ("mixing_unit", c_char_p),
    ("label_smoothing", c_double),
]


class usp_distortion_options(Structure):
    pass


usp_distortion_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("brightness", c_double),
    ("contrast", c_double),
    ("saturation", c_double),
    ("hue", c_double),
    ("contrast_first", c_int64),
]


class usp_segmentation_options(Structure):
    pass


usp_segmentation_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("crop", c_int64),
    ("short_side", c_int64),
    ("long_side", c_int64),
    ("least_scale", c_double),
    ("most_scale", c_double),
    ("category_share", c_double),
    ("flip", c_double),
    ("distort", c_int64),
    ("ignored", c_int64),
    ("reduce_zero_label", c_int64),
]


class usp_segmenter_options(Structure):
    pass


usp_segmenter_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("batch_statistics", c_int64),
    ("average", c_char_p),
    ("ignored", c_int64),
]


class usp_window_options(Structure):
    pass


usp_window_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("crop_height", c_int64),
    ("crop_width", c_int64),
    ("stride_height", c_int64),
    ("stride_width", c_int64),
]


class usp_measurement(Structure):
    """Opaque."""


class usp_robustness_options(Structure):
    pass


usp_robustness_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("progress", usp_progress_fn),
    ("progress_user", c_void_p),
    ("sigmas", c_char_p),
    ("steps", c_char_p),
    ("shares", c_char_p),
    ("samples", c_int64),
    ("seed", c_uint64),
]


class usp_probe_options(Structure):
    pass


usp_probe_options._fields_ = [
    ("struct_size", c_uint32),
    ("reserved", c_uint32),
    ("progress", usp_progress_fn),
    ("progress_user", c_void_p),
    ("times", c_char_p),
    ("blocks", c_char_p),
    ("samples", c_int64),
    ("test_samples", c_int64),
    ("steps", c_int64),
    ("final_epochs", c_double),
    ("batch", c_int64),
    ("rate", c_double),
    ("seed", c_uint64),
]


#: name -> (result, arguments)
PROTOTYPES = {
    "usp_version": (
        c_char_p,
        [],
    ),
    "usp_abi_version": (
        c_uint32,
        [],
    ),
    "usp_build_info": (
        c_char_p,
        [],
    ),
    "usp_last_error": (
        c_char_p,
        [],
    ),
    "usp_status_name": (
        c_char_p,
        [c_int],
    ),
    "usp_dtype_size": (
        c_size_t,
        [c_int],
    ),
    "usp_dtype_name": (
        c_char_p,
        [c_int],
    ),
    "usp_tensor_copy": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_random_normal": (
        c_int,
        [c_uint64, POINTER(usp_tensor)],
    ),
    "usp_random_torch": (
        c_int,
        [c_char_p, c_uint64, POINTER(usp_tensor)],
    ),
    "usp_set_threads": (
        c_int,
        [c_int32],
    ),
    "usp_threads": (
        c_int32,
        [],
    ),
    "usp_trim": (
        None,
        [],
    ),
    "usp_checkpoint_open": (
        c_int,
        [c_char_p, POINTER(usp_checkpoint_options), POINTER(POINTER(usp_checkpoint))],
    ),
    "usp_checkpoint_create": (
        c_int,
        [POINTER(c_char_p), POINTER(usp_tensor), c_size_t, POINTER(POINTER(usp_checkpoint))],
    ),
    "usp_checkpoint_free": (
        None,
        [POINTER(usp_checkpoint)],
    ),
    "usp_checkpoint_count": (
        c_size_t,
        [POINTER(usp_checkpoint)],
    ),
    "usp_checkpoint_name": (
        c_char_p,
        [POINTER(usp_checkpoint), c_size_t],
    ),
    "usp_checkpoint_tensor": (
        c_int,
        [POINTER(usp_checkpoint), c_char_p, POINTER(usp_tensor)],
    ),
    "usp_checkpoint_shape": (
        c_int,
        [POINTER(usp_checkpoint), c_char_p, POINTER(usp_tensor)],
    ),
    "usp_checkpoint_unread_count": (
        c_size_t,
        [POINTER(usp_checkpoint)],
    ),
    "usp_checkpoint_unread_name": (
        c_char_p,
        [POINTER(usp_checkpoint), c_size_t],
    ),
    "usp_checkpoint_unread_reason": (
        c_char_p,
        [POINTER(usp_checkpoint), c_size_t],
    ),
    "usp_checkpoint_metadata_count": (
        c_size_t,
        [POINTER(usp_checkpoint)],
    ),
    "usp_checkpoint_metadata_key": (
        c_char_p,
        [POINTER(usp_checkpoint), c_size_t],
    ),
    "usp_checkpoint_metadata_value": (
        c_char_p,
        [POINTER(usp_checkpoint), c_size_t],
    ),
    "usp_checkpoint_table_count": (
        c_size_t,
        [POINTER(usp_checkpoint)],
    ),
    "usp_checkpoint_table_name": (
        c_char_p,
        [POINTER(usp_checkpoint), c_size_t],
    ),
    "usp_checkpoint_report": (
        c_int,
        [POINTER(usp_checkpoint), c_char_p, c_size_t, POINTER(c_size_t)],
    ),
    "usp_checkpoint_save": (
        c_int,
        [POINTER(usp_checkpoint), c_char_p, POINTER(usp_save_options)],
    ),
    "usp_image_open": (
        c_int,
        [c_char_p, c_int32, POINTER(POINTER(usp_image))],
    ),
    "usp_image_free": (
        None,
        [POINTER(usp_image)],
    ),
    "usp_image_pixels": (
        c_int,
        [POINTER(usp_image), POINTER(usp_tensor)],
    ),
    "usp_image_write": (
        c_int,
        [c_char_p, POINTER(usp_tensor)],
    ),
    "usp_model_create": (
        c_int,
        [c_char_p, c_char_p, c_uint64, POINTER(POINTER(usp_model))],
    ),
    "usp_preset_count": (
        c_size_t,
        [],
    ),
    "usp_preset_name": (
        c_char_p,
        [c_size_t],
    ),
    "usp_model_open": (
        c_int,
        [c_char_p, POINTER(usp_model_options), POINTER(POINTER(usp_model))],
    ),
    "usp_model_load": (
        c_int,
        [POINTER(usp_checkpoint), POINTER(usp_model_options), POINTER(POINTER(usp_model))],
    ),
    "usp_model_free": (
        None,
        [POINTER(usp_model)],
    ),
    "usp_model_family": (
        c_char_p,
        [POINTER(usp_model)],
    ),
    "usp_model_config": (
        c_int,
        [POINTER(usp_model), c_char_p, c_size_t, POINTER(c_size_t)],
    ),
    "usp_model_class_count": (
        c_size_t,
        [POINTER(usp_model)],
    ),
    "usp_model_class_name": (
        c_char_p,
        [POINTER(usp_model), c_size_t],
    ),
    "usp_model_fingerprint": (
        c_char_p,
        [POINTER(usp_model)],
    ),
    "usp_model_autoencoder": (
        c_char_p,
        [POINTER(usp_model)],
    ),
    "usp_model_autoencoder_note": (
        c_int,
        [POINTER(usp_model), POINTER(usp_model), c_char_p, c_size_t, POINTER(c_size_t)],
    ),
    "usp_model_size": (
        c_int64,
        [POINTER(usp_model)],
    ),
    "usp_model_parameter_count": (
        c_size_t,
        [POINTER(usp_model)],
    ),
    "usp_model_parameter_name": (
        c_char_p,
        [POINTER(usp_model), c_size_t],
    ),
    "usp_model_parameter": (
        c_int,
        [POINTER(usp_model), c_char_p, POINTER(usp_tensor)],
    ),
    "usp_model_input": (
        c_int,
        [POINTER(usp_model), c_int64, POINTER(usp_tensor)],
    ),
    "usp_model_report": (
        c_int,
        [POINTER(usp_model), c_char_p, c_size_t, POINTER(c_size_t)],
    ),
    "usp_model_report_json": (
        c_int,
        [POINTER(usp_model), c_char_p, c_size_t, POINTER(c_size_t)],
    ),
    "usp_model_checkpoint": (
        c_int,
        [POINTER(usp_model), POINTER(POINTER(usp_checkpoint))],
    ),
    "usp_model_replace": (
        c_int,
        [POINTER(usp_model), POINTER(usp_checkpoint), POINTER(POINTER(usp_model))],
    ),
    "usp_model_backward": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(POINTER(usp_checkpoint))],
    ),
    "usp_model_output": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_model_written": (
        c_int,
        [POINTER(usp_model), c_char_p, POINTER(POINTER(usp_checkpoint))],
    ),
    "usp_model_save": (
        c_int,
        [POINTER(usp_model), c_char_p, POINTER(usp_save_options)],
    ),
    "usp_vae_normalization": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_vae_encode": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_vae_options), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_vae_sample": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_vae_options), POINTER(usp_tensor)],
    ),
    "usp_vae_decode": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_vae_options), POINTER(usp_tensor)],
    ),
    "usp_mae_forward": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_mae_options), POINTER(c_float), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_mae_gradients": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_mae_options), POINTER(c_float), POINTER(POINTER(usp_checkpoint))],
    ),
    "usp_mae_features": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_mae_layers": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(c_int64), c_size_t, c_int32, POINTER(usp_tensor)],
    ),
    "usp_mae_attention": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), c_int64, POINTER(usp_tensor)],
    ),
    "usp_mae_image": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_vit_tokens": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), c_int32, c_int32, POINTER(usp_tensor)],
    ),
    "usp_vit_leading": (
        c_int64,
        [POINTER(usp_model)],
    ),
    "usp_vit_features": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_vit_layers": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(c_int64), c_size_t, c_int32, POINTER(usp_tensor)],
    ),
    "usp_vit_attention": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), c_int64, POINTER(usp_tensor)],
    ),
    "usp_vit_logits": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_dit_out_channels": (
        c_int64,
        [POINTER(usp_model)],
    ),
    "usp_dit_forward": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_dit_forward_guided": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), c_float, c_int32, c_float, c_float, POINTER(usp_tensor)],
    ),
    "usp_dit_gradients": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(c_float), POINTER(POINTER(usp_checkpoint))],
    ),
    "usp_dit_features": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), c_int32, POINTER(usp_tensor)],
    ),
    "usp_dit_layers": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(c_int64), c_size_t, c_int32, POINTER(usp_tensor)],
    ),
    "usp_dit_attention": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), c_int64, POINTER(usp_tensor)],
    ),
    "usp_dit_projections": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), c_int32, POINTER(usp_tensor)],
    ),
    "usp_mar_forward": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_mar_options), POINTER(c_float), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_mar_gradients": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_mar_options), POINTER(c_float), POINTER(POINTER(usp_checkpoint))],
    ),
    "usp_mar_condition": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_mar_denoise": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_mar_denoise_guided": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), c_float, POINTER(usp_tensor)],
    ),
    "usp_mar_sample": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_mar_sample_options), POINTER(usp_tensor)],
    ),
    "usp_position_sincos": (
        c_int,
        [c_int64, c_int64, POINTER(usp_tensor)],
    ),
    "usp_position_rope": (
        c_int,
        [c_int64, c_int64, POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_position_resize": (
        c_int,
        [POINTER(usp_tensor), c_int64, c_int64, c_int64, c_int64, c_int32, POINTER(usp_tensor)],
    ),
    "usp_diffusion_create": (
        c_int,
        [POINTER(usp_diffusion_options), POINTER(POINTER(usp_diffusion))],
    ),
    "usp_diffusion_free": (
        None,
        [POINTER(usp_diffusion)],
    ),
    "usp_diffusion_steps": (
        c_int64,
        [POINTER(usp_diffusion)],
    ),
    "usp_diffusion_table": (
        c_int,
        [POINTER(usp_diffusion), c_char_p, POINTER(usp_tensor)],
    ),
    "usp_diffusion_noise": (
        c_int,
        [POINTER(usp_diffusion), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_diffusion_sample": (
        c_int,
        [POINTER(usp_diffusion), POINTER(usp_denoiser), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_sample_options), POINTER(usp_tensor)],
    ),
    "usp_diffusion_invert": (
        c_int,
        [POINTER(usp_diffusion), POINTER(usp_denoiser), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_sample_options), POINTER(usp_tensor)],
    ),
    "usp_diffusion_losses": (
        c_int,
        [POINTER(usp_diffusion), POINTER(usp_denoiser), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), c_uint64, POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_diffusion_bits_per_dimension": (
        c_int,
        [POINTER(usp_diffusion), POINTER(usp_denoiser), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_sample_options), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_transport_create": (
        c_int,
        [POINTER(usp_transport_options), POINTER(POINTER(usp_transport))],
    ),
    "usp_transport_free": (
        None,
        [POINTER(usp_transport)],
    ),
    "usp_transport_interval": (
        c_int,
        [POINTER(usp_transport), c_int32, POINTER(usp_sample_options), POINTER(c_double), POINTER(c_double), c_char_p, c_size_t, POINTER(c_size_t)],
    ),
    "usp_transport_sample_ode": (
        c_int,
        [POINTER(usp_transport), POINTER(usp_denoiser), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_sample_options), POINTER(usp_tensor)],
    ),
    "usp_transport_invert_ode": (
        c_int,
        [POINTER(usp_transport), POINTER(usp_denoiser), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_sample_options), POINTER(usp_tensor)],
    ),
    "usp_transport_sample_sde": (
        c_int,
        [POINTER(usp_transport), POINTER(usp_denoiser), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_sample_options), POINTER(usp_tensor)],
    ),
    "usp_transport_losses": (
        c_int,
        [POINTER(usp_transport), POINTER(usp_denoiser), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), c_int32, POINTER(usp_tensor), c_uint64, POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_transport_draw_times": (
        c_int,
        [POINTER(usp_transport), c_uint64, POINTER(usp_tensor)],
    ),
    "usp_transport_likelihood": (
        c_int,
        [POINTER(usp_transport), POINTER(usp_denoiser), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_sample_options), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_ranks_from_mpi": (
        c_int,
        [POINTER(POINTER(usp_ranks))],
    ),
    "usp_ranks_from_functions": (
        c_int,
        [c_int32, c_int32, usp_reduce_scatter_fn, usp_all_gather_fn, usp_broadcast_fn, usp_barrier_fn, c_void_p, POINTER(POINTER(usp_ranks))],
    ),
    "usp_ranks_create": (
        c_int,
        [c_int32, c_int32, usp_allreduce_fn, c_void_p, POINTER(POINTER(usp_ranks))],
    ),
    "usp_ranks_rank": (
        c_int32,
        [POINTER(usp_ranks)],
    ),
    "usp_ranks_count": (
        c_int32,
        [POINTER(usp_ranks)],
    ),
    "usp_ranks_free": (
        None,
        [POINTER(usp_ranks)],
    ),
    "usp_data_open": (
        c_int,
        [c_char_p, POINTER(usp_model), POINTER(usp_data_options), POINTER(POINTER(usp_data))],
    ),
    "usp_data_free": (
        None,
        [POINTER(usp_data)],
    ),
    "usp_data_count": (
        c_int64,
        [POINTER(usp_data)],
    ),
    "usp_data_classes": (
        c_int64,
        [POINTER(usp_data)],
    ),
    "usp_data_steps_per_epoch": (
        c_int64,
        [POINTER(usp_data)],
    ),
    "usp_data_batch_size": (
        c_int64,
        [POINTER(usp_data)],
    ),
    "usp_data_class_name": (
        c_char_p,
        [POINTER(usp_data), c_size_t],
    ),
    "usp_data_remark": (
        c_char_p,
        [POINTER(usp_data), c_size_t],
    ),
    "usp_data_sample": (
        c_int,
        [POINTER(usp_data), POINTER(usp_tensor)],
    ),
    "usp_data_label": (
        c_int,
        [POINTER(usp_data), POINTER(usp_tensor)],
    ),
    "usp_data_latent_statistics": (
        c_int,
        [POINTER(usp_data), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_data_batch": (
        c_int,
        [POINTER(usp_data), c_int64, POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_data_samples": (
        c_int,
        [POINTER(usp_data), c_int64, POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_data_feature": (
        c_int,
        [POINTER(usp_data), POINTER(usp_tensor)],
    ),
    "usp_data_features": (
        c_int,
        [POINTER(usp_data), c_int64, POINTER(usp_tensor)],
    ),
    "usp_trainer_create": (
        c_int,
        [POINTER(usp_model), POINTER(usp_trainer_options), POINTER(POINTER(usp_trainer))],
    ),
    "usp_trainer_free": (
        None,
        [POINTER(usp_trainer)],
    ),
    "usp_trainer_step": (
        c_int,
        [POINTER(usp_trainer), POINTER(usp_batch), POINTER(c_float)],
    ),
    "usp_trainer_gradients": (
        c_int,
        [POINTER(usp_trainer), POINTER(usp_batch), POINTER(c_float), POINTER(POINTER(usp_checkpoint))],
    ),
    "usp_trainer_set_rate": (
        c_int,
        [POINTER(usp_trainer), c_double],
    ),
    "usp_trainer_steps": (
        c_int64,
        [POINTER(usp_trainer)],
    ),
    "usp_trainer_rate": (
        c_float,
        [POINTER(usp_trainer)],
    ),
    "usp_trainer_gradient_norm": (
        c_float,
        [POINTER(usp_trainer)],
    ),
    "usp_trainer_model": (
        c_int,
        [POINTER(usp_trainer), c_int32, POINTER(POINTER(usp_model))],
    ),
    "usp_trainer_save": (
        c_int,
        [POINTER(usp_trainer), c_char_p],
    ),
    "usp_trainer_restore": (
        c_int,
        [POINTER(usp_trainer), c_char_p],
    ),
    "usp_trainer_cancel": (
        None,
        [POINTER(usp_trainer)],
    ),
    "usp_run_create": (
        c_int,
        [POINTER(usp_trainer), POINTER(usp_data), c_char_p, POINTER(usp_run_options), POINTER(POINTER(usp_run))],
    ),
    "usp_run_free": (
        None,
        [POINTER(usp_run)],
    ),
    "usp_run_train": (
        c_int,
        [POINTER(usp_run)],
    ),
    "usp_run_metric": (
        c_int,
        [POINTER(usp_run), c_char_p, c_double],
    ),
    "usp_run_steps": (
        c_int64,
        [POINTER(usp_run)],
    ),
    "usp_run_resumed": (
        c_int64,
        [POINTER(usp_run)],
    ),
    "usp_run_cancel": (
        None,
        [POINTER(usp_run)],
    ),
    "usp_run_save": (
        None,
        [POINTER(usp_run)],
    ),
    "usp_recipe_count": (
        c_size_t,
        [],
    ),
    "usp_recipe_name": (
        c_char_p,
        [c_size_t],
    ),
    "usp_recipe_text": (
        c_int,
        [c_char_p, c_char_p, c_char_p, c_size_t, POINTER(c_size_t)],
    ),
    "usp_stage_create": (
        c_int,
        [c_char_p, POINTER(usp_data), POINTER(usp_model), POINTER(usp_model), POINTER(usp_data), c_char_p, POINTER(POINTER(usp_stage))],
    ),
    "usp_stage_free": (
        None,
        [POINTER(usp_stage)],
    ),
    "usp_stage_note_count": (
        c_size_t,
        [POINTER(usp_stage)],
    ),
    "usp_stage_note": (
        c_char_p,
        [POINTER(usp_stage), c_size_t],
    ),
    "usp_stage_note_warns": (
        c_int,
        [POINTER(usp_stage), c_size_t],
    ),
    "usp_stage_trainer": (
        c_int,
        [POINTER(usp_stage), POINTER(POINTER(usp_trainer))],
    ),
    "usp_stage_data": (
        c_int,
        [POINTER(usp_stage), POINTER(POINTER(usp_data))],
    ),
    "usp_stage_run": (
        c_int,
        [POINTER(usp_stage), c_char_p, POINTER(usp_run_options), POINTER(POINTER(usp_run))],
    ),
    "usp_stage_model": (
        c_int,
        [POINTER(usp_stage), POINTER(POINTER(usp_model))],
    ),
    "usp_stage_metrics": (
        c_int,
        [POINTER(usp_stage), c_char_p, c_size_t, POINTER(c_size_t)],
    ),
    "usp_study_run": (
        c_int,
        [c_char_p, c_char_p, c_char_p, c_char_p, usp_progress_fn, c_void_p],
    ),
    "usp_study_text": (
        c_int,
        [c_char_p, c_char_p, c_char_p, c_char_p, c_size_t, POINTER(c_size_t)],
    ),
    "usp_transfer_plan_open": (
        c_int,
        [c_char_p, c_char_p, POINTER(usp_transfer_options), POINTER(POINTER(usp_transfer_plan))],
    ),
    "usp_transfer_plan_create": (
        c_int,
        [POINTER(usp_checkpoint), c_char_p, POINTER(usp_transfer_options), POINTER(POINTER(usp_transfer_plan))],
    ),
    "usp_transfer_plan_free": (
        None,
        [POINTER(usp_transfer_plan)],
    ),
    "usp_transfer_plan_count": (
        c_size_t,
        [POINTER(usp_transfer_plan)],
    ),
    "usp_transfer_plan_name": (
        c_char_p,
        [POINTER(usp_transfer_plan), c_size_t],
    ),
    "usp_transfer_plan_source": (
        c_char_p,
        [POINTER(usp_transfer_plan), c_size_t],
    ),
    "usp_transfer_plan_action": (
        c_char_p,
        [POINTER(usp_transfer_plan), c_size_t],
    ),
    "usp_transfer_plan_shape": (
        c_int,
        [POINTER(usp_transfer_plan), c_size_t, POINTER(usp_tensor)],
    ),
    "usp_transfer_plan_left_count": (
        c_size_t,
        [POINTER(usp_transfer_plan)],
    ),
    "usp_transfer_plan_left_name": (
        c_char_p,
        [POINTER(usp_transfer_plan), c_size_t],
    ),
    "usp_transfer_plan_left_reason": (
        c_char_p,
        [POINTER(usp_transfer_plan), c_size_t],
    ),
    "usp_transfer_plan_note_count": (
        c_size_t,
        [POINTER(usp_transfer_plan)],
    ),
    "usp_transfer_plan_note": (
        c_char_p,
        [POINTER(usp_transfer_plan), c_size_t],
    ),
    "usp_transfer_plan_parameters": (
        c_int64,
        [POINTER(usp_transfer_plan)],
    ),
    "usp_transfer_plan_transferred": (
        c_int64,
        [POINTER(usp_transfer_plan)],
    ),
    "usp_transfer_plan_report": (
        c_int,
        [POINTER(usp_transfer_plan), c_char_p, c_size_t, POINTER(c_size_t)],
    ),
    "usp_transfer_plan_json": (
        c_int,
        [POINTER(usp_transfer_plan), c_char_p, c_size_t, POINTER(c_size_t)],
    ),
    "usp_transfer_plan_apply": (
        c_int,
        [POINTER(usp_transfer_plan), POINTER(POINTER(usp_checkpoint))],
    ),
    "usp_transfer_plan_write": (
        c_int,
        [POINTER(usp_transfer_plan), c_char_p, c_char_p],
    ),
    "usp_inception_features": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_inception_options), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_evaluate_frechet": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), POINTER(c_double)],
    ),
    "usp_evaluate_frechet_statistics": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(c_double)],
    ),
    "usp_evaluate_inception": (
        c_int,
        [POINTER(usp_tensor), c_int64, POINTER(c_double), POINTER(c_double)],
    ),
    "usp_evaluate_precision_recall": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), c_int32, POINTER(c_double), POINTER(c_double)],
    ),
    "usp_evaluate_accuracy": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), c_int32, POINTER(c_double)],
    ),
    "usp_evaluate_mean_iou": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), c_int64, c_int64, POINTER(c_double)],
    ),
    "usp_evaluate_confusion": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), c_int64, c_int64, POINTER(usp_tensor)],
    ),
    "usp_evaluate_segmentation": (
        c_int,
        [POINTER(usp_tensor), POINTER(c_double), POINTER(c_double), POINTER(c_double), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_augment_operation": (
        c_int,
        [c_char_p, c_double, POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_augment_level": (
        c_int,
        [c_char_p, c_double, POINTER(c_double)],
    ),
    "usp_augment_random": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_rand_augment_options), c_uint64, c_int64, POINTER(usp_tensor)],
    ),
    "usp_augment_evaluation": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_augment_erase": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_erasing_options), c_uint64, POINTER(usp_tensor)],
    ),
    "usp_augment_mix": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_mixing_options), c_uint64, POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_alignment_size": (
        c_int,
        [c_char_p, c_int64, c_int64, c_int64, POINTER(c_int64), POINTER(c_int64)],
    ),
    "usp_alignment_prepare": (
        c_int,
        [POINTER(usp_tensor), c_char_p, c_int64, POINTER(usp_tensor)],
    ),
    "usp_segmentation_rescaled_size": (
        c_int,
        [c_int64, c_int64, c_int64, c_int64, POINTER(c_int64), POINTER(c_int64)],
    ),
    "usp_segmentation_resize": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_segmentation_resize_labels": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_segmentation_reduce_zero_label": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_segmentation_distort": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_distortion_options), POINTER(usp_tensor)],
    ),
    "usp_segmentation_sample": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_segmentation_options), c_uint64, c_int64, POINTER(c_int64), POINTER(c_int64), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_segmentation_window_count": (
        c_int,
        [c_int64, c_int64, c_int64, c_int64, c_int64, c_int64, POINTER(c_int64)],
    ),
    "usp_segmentation_windows": (
        c_int,
        [c_int64, c_int64, c_int64, c_int64, c_int64, c_int64, POINTER(usp_tensor)],
    ),
    "usp_segmentation_stitch": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_segmenter_logits": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
    "usp_segmenter_decode": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), c_int64, POINTER(usp_tensor)],
    ),
    "usp_segmenter_gradients": (
        c_int,
        [POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_tensor), POINTER(usp_segmenter_options), POINTER(c_float), POINTER(POINTER(usp_checkpoint))],
    ),
    "usp_segmenter_scores": (
        c_int,
        [POINTER(usp_model), POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_window_options), POINTER(usp_tensor)],
    ),
    "usp_segmenter_predict": (
        c_int,
        [POINTER(usp_model), POINTER(usp_model), POINTER(usp_tensor), POINTER(usp_window_options), POINTER(usp_tensor)],
    ),
    "usp_measurement_free": (
        None,
        [POINTER(usp_measurement)],
    ),
    "usp_measurement_json": (
        c_char_p,
        [POINTER(usp_measurement)],
    ),
    "usp_measurement_table": (
        c_char_p,
        [POINTER(usp_measurement)],
    ),
    "usp_measurement_picture_name": (
        c_char_p,
        [POINTER(usp_measurement), c_size_t],
    ),
    "usp_measurement_picture": (
        c_char_p,
        [POINTER(usp_measurement), c_size_t],
    ),
    "usp_robustness": (
        c_int,
        [POINTER(POINTER(usp_model)), POINTER(c_char_p), c_size_t, POINTER(usp_data), POINTER(usp_model), POINTER(usp_robustness_options), POINTER(POINTER(usp_measurement))],
    ),
    "usp_probe_diffusion": (
        c_int,
        [POINTER(usp_model), POINTER(usp_data), POINTER(usp_data), POINTER(usp_probe_options), POINTER(POINTER(usp_measurement))],
    ),
    "usp_principal_colours": (
        c_int,
        [POINTER(usp_tensor), POINTER(usp_tensor)],
    ),
}
