/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_EVALUATE_H
#define USP_EVALUATE_H

#include "base.h"

USP_BEGIN_DECLARATIONS

/* ---- evaluate: numbers that say how good images or predictions are ------------------------ */

/* Frechet distance between two sets of features: FID over Inception's pool features, sFID over its
 * spatial ones.
 *   a    [N, D]  f32      b  [M, D]  f32;  N, M of at least 2. Of no more than D samples the
 *   covariance is singular and the distance biased upwards; published values are of 50,000. */
USP_API USP_CHECK usp_status usp_evaluate_frechet(
    const usp_tensor *a, const usp_tensor *b, double *out);

/* The same from means and covariances, as reference files store them.
 *   mean_a, mean_b              [D]     f64
 *   covariance_a, covariance_b  [D, D]  f64 */
USP_API USP_CHECK usp_status usp_evaluate_frechet_statistics(
    const usp_tensor *mean_a, const usp_tensor *covariance_a, const usp_tensor *mean_b,
    const usp_tensor *covariance_b, double *out);

/* Inception score over consecutive splits.
 *   logits         [N, K]  f32, before softmax
 *   split_size     images of a split; 0 = 5000
 *   out_mean, out_deviation  over the splits; the latter may be NULL */
USP_API USP_CHECK usp_status usp_evaluate_inception(
    const usp_tensor *logits, int64_t split_size, double *out_mean, double *out_deviation);

/* Improved precision and recall of samples against a reference.
 *   reference  [N, D]  f32      samples  [M, D]  f32
 *   neighbours 0 = 3 */
USP_API USP_CHECK usp_status usp_evaluate_precision_recall(
    const usp_tensor *reference, const usp_tensor *samples, int32_t neighbours,
    double *out_precision, double *out_recall);

/* Share of samples whose label is among the k largest logits.
 *   logits  [N, K]  f32      labels  [N]  i64      k  0 = 1
 * Errors: SHAPE if there are no samples; ARGUMENT naming the row that has NaN. */
USP_API USP_CHECK usp_status usp_evaluate_accuracy(
    const usp_tensor *logits, const usp_tensor *labels, int32_t k, double *out);

/* Mean intersection over union of label maps, over the classes that occur.
 *   predicted, target  [..]  u8, i64 or i32, 0 ... classes - 1; a target of `ignored` is not
 *                            counted
 * Errors: ARGUMENT naming the pixel whose class is out of range, and where no pixel counts. */
USP_API USP_CHECK usp_status usp_evaluate_mean_iou(
    const usp_tensor *predicted, const usp_tensor *target, int64_t classes, int64_t ignored,
    double *out);

/* How often pixels of each true class were predicted as each class. Over a set of images the
 * matrices are added up.
 *   predicted, target  as above; their dtypes may differ
 *   out                [K, K]  i64, true classes in rows; K = classes, 1 to 4096
 * Errors: SHAPE; ARGUMENT naming the pixel whose class is out of range. */
USP_API USP_CHECK usp_status usp_evaluate_confusion(
    const usp_tensor *predicted, const usp_tensor *target, int64_t classes, int64_t ignored,
    usp_tensor *out);

/* The scores of a confusion matrix [K, K] i64, as mmsegmentation defines them; USP_ABSENT (NaN)
 * where there is nothing to divide by. Outputs may be NULL.
 *   out_accuracy        share of all pixels that is right (aAcc)
 *   out_mean_iou        mean of IoU over the classes that are labelled or predicted (mIoU)
 *   out_mean_accuracy   mean of accuracy over the classes that are labelled (mAcc)
 *   out_iou             [K]  f64  right / (labelled + predicted - right)
 *   out_class_accuracy  [K]  f64  right / labelled
 * Errors: SHAPE; ARGUMENT for a negative count. */
USP_API USP_CHECK usp_status usp_evaluate_segmentation(
    const usp_tensor *confusion, double *out_accuracy, double *out_mean_iou,
    double *out_mean_accuracy, usp_tensor *out_iou, usp_tensor *out_class_accuracy);

USP_END_DECLARATIONS

#endif /* USP_EVALUATE_H */
