/* The layouts that programs were compiled with: a change here is a new USP_ABI_VERSION. */
#include "usp.h"

#include <assert.h>

#define SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type)
#define AT(type, field, offset) static_assert(offsetof(type, field) == (offset), #type "." #field)

SIZE(usp_status, 4);
SIZE(usp_dtype, 4);

SIZE(usp_tensor, 144);
AT(usp_tensor, data, 0);
AT(usp_tensor, shape, 8);
AT(usp_tensor, strides, 72);
AT(usp_tensor, rank, 136);
AT(usp_tensor, dtype, 140);

SIZE(usp_progress, 40);
AT(usp_progress, stage, 0);
AT(usp_progress, step, 8);
AT(usp_progress, steps, 16);
AT(usp_progress, seconds, 24);
AT(usp_progress, latents, 32);

SIZE(usp_checkpoint_options, 16);
AT(usp_checkpoint_options, struct_size, 0);
AT(usp_checkpoint_options, reserved, 4);
AT(usp_checkpoint_options, table, 8);

SIZE(usp_denoiser, 64);
AT(usp_denoiser, struct_size, 0);
AT(usp_denoiser, out_channels, 4);
AT(usp_denoiser, model, 8);
AT(usp_denoiser, function, 16);
AT(usp_denoiser, user, 24);
AT(usp_denoiser, guidance, 32);
AT(usp_denoiser, guidance_channels, 36);
AT(usp_denoiser, guidance_begin, 40);
AT(usp_denoiser, guidance_end, 44);
AT(usp_denoiser, null_class, 48);
AT(usp_denoiser, guidance_scales, 56);

SIZE(usp_diffusion_options, 48);
AT(usp_diffusion_options, struct_size, 0);
AT(usp_diffusion_options, training_steps, 4);
AT(usp_diffusion_options, schedule, 8);
AT(usp_diffusion_options, respacing, 16);
AT(usp_diffusion_options, prediction, 24);
AT(usp_diffusion_options, variance, 32);
AT(usp_diffusion_options, loss, 40);

SIZE(usp_dit_config, 56);
AT(usp_dit_config, struct_size, 0);
AT(usp_dit_config, grid_height, 4);
AT(usp_dit_config, grid_width, 8);
AT(usp_dit_config, channels, 12);
AT(usp_dit_config, patch, 16);
AT(usp_dit_config, width, 20);
AT(usp_dit_config, depth, 24);
AT(usp_dit_config, heads, 28);
AT(usp_dit_config, classes, 32);
AT(usp_dit_config, affine, 36);
AT(usp_dit_config, learn_sigma, 40);
AT(usp_dit_config, reserved, 44);
AT(usp_dit_config, family, 48);

SIZE(usp_inception_options, 16);
AT(usp_inception_options, struct_size, 0);
AT(usp_inception_options, reserved, 4);
AT(usp_inception_options, preprocessing, 8);

SIZE(usp_mae_config, 48);
AT(usp_mae_config, struct_size, 0);
AT(usp_mae_config, grid_height, 4);
AT(usp_mae_config, grid_width, 8);
AT(usp_mae_config, channels, 12);
AT(usp_mae_config, patch, 16);
AT(usp_mae_config, width, 20);
AT(usp_mae_config, depth, 24);
AT(usp_mae_config, heads, 28);
AT(usp_mae_config, decoder_width, 32);
AT(usp_mae_config, decoder_depth, 36);
AT(usp_mae_config, decoder_heads, 40);
AT(usp_mae_config, without_decoder, 44);

SIZE(usp_mae_options, 48);
AT(usp_mae_options, struct_size, 0);
AT(usp_mae_options, mask_ratio, 4);
AT(usp_mae_options, noise, 8);
AT(usp_mae_options, target, 16);
AT(usp_mae_options, seed, 24);
AT(usp_mae_options, norm_pix_loss, 32);
AT(usp_mae_options, norm_image, 36);
AT(usp_mae_options, keep_all, 40);
AT(usp_mae_options, add_noise, 44);

SIZE(usp_model_options, 64);
AT(usp_model_options, struct_size, 0);
AT(usp_model_options, heads, 4);
AT(usp_model_options, decoder_heads, 8);
AT(usp_model_options, scale, 12);
AT(usp_model_options, shift, 16);
AT(usp_model_options, grid_height, 20);
AT(usp_model_options, grid_width, 24);
AT(usp_model_options, exact, 28);
AT(usp_model_options, family, 32);
AT(usp_model_options, table, 40);
AT(usp_model_options, compute, 48);
AT(usp_model_options, pool, 56);

SIZE(usp_sample_options, 152);
AT(usp_sample_options, struct_size, 0);
AT(usp_sample_options, steps, 4);
AT(usp_sample_options, method, 8);
AT(usp_sample_options, seed, 16);
AT(usp_sample_options, generator, 24);
AT(usp_sample_options, noise, 32);
AT(usp_sample_options, progress, 40);
AT(usp_sample_options, progress_user, 48);
AT(usp_sample_options, preview, 56);
AT(usp_sample_options, preview_user, 64);
AT(usp_sample_options, preview_interval, 72);
AT(usp_sample_options, clip, 76);
AT(usp_sample_options, eta, 80);
AT(usp_sample_options, atol, 84);
AT(usp_sample_options, rtol, 88);
AT(usp_sample_options, timestep_shift, 92);
AT(usp_sample_options, form, 96);
AT(usp_sample_options, norm, 104);
AT(usp_sample_options, last_step, 112);
AT(usp_sample_options, last_step_size, 120);
AT(usp_sample_options, first_sample, 124);
AT(usp_sample_options, adjust_start, 128);
AT(usp_sample_options, adjust_user, 136);
AT(usp_sample_options, total_samples, 144);

SIZE(usp_save_options, 32);
AT(usp_save_options, struct_size, 0);
AT(usp_save_options, reserved, 4);
AT(usp_save_options, format, 8);
AT(usp_save_options, dtype, 16);
AT(usp_save_options, tables, 24);

SIZE(usp_trainer_options, 168);
AT(usp_trainer_options, struct_size, 0);
AT(usp_trainer_options, accumulation, 4);
AT(usp_trainer_options, optimizer, 8);
AT(usp_trainer_options, rate, 16);
AT(usp_trainer_options, minimum_rate, 20);
AT(usp_trainer_options, warmup, 24);
AT(usp_trainer_options, steps, 32);
AT(usp_trainer_options, weight_decay, 40);
AT(usp_trainer_options, beta1, 44);
AT(usp_trainer_options, beta2, 48);
AT(usp_trainer_options, average_decay, 52);
AT(usp_trainer_options, clip_norm, 56);
AT(usp_trainer_options, layer_decay, 60);
AT(usp_trainer_options, compute, 64);
AT(usp_trainer_options, seed, 72);
AT(usp_trainer_options, mask_ratio, 80);
AT(usp_trainer_options, norm_pix_loss, 84);
AT(usp_trainer_options, kl_weight, 88);
AT(usp_trainer_options, label_smoothing, 92);
AT(usp_trainer_options, label_dropout, 96);
AT(usp_trainer_options, head_only, 100);
AT(usp_trainer_options, reconstruction, 104);
AT(usp_trainer_options, diffusion, 112);
AT(usp_trainer_options, transport, 120);
AT(usp_trainer_options, allreduce, 128);
AT(usp_trainer_options, allreduce_user, 136);
AT(usp_trainer_options, world_size, 144);
AT(usp_trainer_options, drop_path, 148);
AT(usp_trainer_options, average_warms_up, 152);
AT(usp_trainer_options, recompute, 156);
AT(usp_trainer_options, exact, 160);

SIZE(usp_transfer_options, 112);
AT(usp_transfer_options, struct_size, 0);
AT(usp_transfer_options, grid_height, 4);
AT(usp_transfer_options, grid_width, 8);
AT(usp_transfer_options, classes, 12);
AT(usp_transfer_options, patch, 16);
AT(usp_transfer_options, channels, 20);
AT(usp_transfer_options, use_layers, 24);
AT(usp_transfer_options, layers, 28);
AT(usp_transfer_options, seed, 32);
AT(usp_transfer_options, plain_norms, 40);
AT(usp_transfer_options, keep_activation, 44);
AT(usp_transfer_options, channel_rule, 48);
AT(usp_transfer_options, depth_rule, 56);
AT(usp_transfer_options, pool, 64);
AT(usp_transfer_options, head, 72);
AT(usp_transfer_options, gate_bias, 80);
AT(usp_transfer_options, timestep, 84);
AT(usp_transfer_options, block, 88);
AT(usp_transfer_options, use_label, 92);
AT(usp_transfer_options, label, 96);
AT(usp_transfer_options, heads, 100);
AT(usp_transfer_options, table, 104);

SIZE(usp_transport_options, 40);
AT(usp_transport_options, struct_size, 0);
AT(usp_transport_options, reserved, 4);
AT(usp_transport_options, path, 8);
AT(usp_transport_options, prediction, 16);
AT(usp_transport_options, loss_weight, 24);
AT(usp_transport_options, train_epsilon, 32);
AT(usp_transport_options, sample_epsilon, 36);

SIZE(usp_vae_config, 80);
AT(usp_vae_config, struct_size, 0);
AT(usp_vae_config, image_channels, 4);
AT(usp_vae_config, base_width, 8);
AT(usp_vae_config, levels, 12);
AT(usp_vae_config, multipliers, 16);
AT(usp_vae_config, blocks_per_level, 48);
AT(usp_vae_config, latent_channels, 52);
AT(usp_vae_config, groups, 56);
AT(usp_vae_config, encoder_attention, 60);
AT(usp_vae_config, decoder_attention, 64);
AT(usp_vae_config, scale, 68);
AT(usp_vae_config, shift, 72);
AT(usp_vae_config, reserved, 76);

SIZE(usp_vae_options, 20);
AT(usp_vae_options, struct_size, 0);
AT(usp_vae_options, raw, 4);
AT(usp_vae_options, tile, 8);
AT(usp_vae_options, overlap, 12);
AT(usp_vae_options, exact, 16);

SIZE(usp_vit_config, 56);
AT(usp_vit_config, struct_size, 0);
AT(usp_vit_config, grid_height, 4);
AT(usp_vit_config, grid_width, 8);
AT(usp_vit_config, channels, 12);
AT(usp_vit_config, patch, 16);
AT(usp_vit_config, width, 20);
AT(usp_vit_config, depth, 24);
AT(usp_vit_config, heads, 28);
AT(usp_vit_config, classes, 32);
AT(usp_vit_config, reserved, 36);
AT(usp_vit_config, pool, 40);
AT(usp_vit_config, head, 48);

static_assert(USP_OK == 0 && USP_ERROR_ARGUMENT == -1 && USP_ERROR_SHAPE == -2, "statuses");
static_assert(USP_ERROR_DTYPE == -3 && USP_ERROR_IO == -4 && USP_ERROR_FORMAT == -5, "statuses");
static_assert(USP_ERROR_MISSING_WEIGHT == -6 && USP_ERROR_UNSUPPORTED == -7, "statuses");
static_assert(USP_ERROR_MEMORY == -8 && USP_ERROR_CANCELLED == -9, "statuses");
static_assert(USP_ERROR_CALLBACK == -10 && USP_ERROR_INTERNAL == -11, "statuses");
static_assert(USP_ERROR_NOT_FINITE == -12, "statuses");
static_assert(USP_F32 == 0 && USP_BF16 == 1 && USP_F16 == 2 && USP_F64 == 3, "dtypes");
static_assert(USP_I64 == 4 && USP_I32 == 5 && USP_I16 == 6 && USP_I8 == 7, "dtypes");
static_assert(USP_U8 == 8 && USP_BOOL == 9 && USP_MAX_RANK == 8, "dtypes");
