# A choice about XLA that belongs to the whole process.

#' One pass over memory
#'
#' Has the compiled steps of this session go over memory once on CPUs: one loop for each variable,
#' not one for each of its states. An update is bound by memory, so large models gain; results are
#' the same to the bit. It rests on an option of XLA that is marked experimental and that the whole
#' process shares, so it is off unless asked for, here or by `PYADAM_SINGLE_PASS=1` in the
#' environment.
#'
#' XLA reads its options once, before it compiles for the first time: call this before any step and
#' any compiled function. Later it is an error, which says so.
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
