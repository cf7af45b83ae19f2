# A process-wide XLA setting.

#' Single pass over memory
#'
#' Makes compiled steps on CPUs pass over memory once: one fused loop per variable instead of one
#' per slot. Updates are memory-bound, so large models gain; results are the same to the bit. This
#' uses an XLA option that is marked experimental and affects the whole process, so it is off by
#' default. It can also be turned on by setting the environment variable `PYADAM_SINGLE_PASS=1`.
#'
#' XLA reads its options once, when it first compiles, so call this before any step or compiled
#' function. Calling it later is an error.
#'
#' @return `NULL`, invisibly.
#' @examplesIf is_pyadam_available()
#' \dontrun{
#' pyadam_single_pass()
#' }
#' @export
pyadam_single_pass <- function() {
  from_pyadam("xla")$single_pass()
  invisible(NULL)
}
