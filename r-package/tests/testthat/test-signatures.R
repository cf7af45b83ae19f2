# Every R function has the arguments and defaults of the table, which are also Python's.

lines <- grep("^#", readLines("signatures.txt"), invert = TRUE, value = TRUE)
table <- sub("^[^:]*: ", "", lines)
names(table) <- sub(":.*", "", lines)

formals_of <- function(text) {
  as.list(formals(eval(parse(text = paste0("function(", text, ") NULL")))))
}

for (name in names(table)) {
  test_that(paste0(name, "() has the formals of the table"), {
    formals <- as.list(formals(getExportedValue("pyadam", name)))
    expect_identical(formals, formals_of(table[[name]]))
  })
}

test_that("every optimizer and schedule is in the table", {
  exported <- getNamespaceExports("pyadam")
  listed <- grep("^(optimizer|learning_rate_schedule|new)_", exported, value = TRUE)
  expect_setequal(listed, names(table))
})

test_that("R's defaults are Python's", {
  need_pyadam()
  inspect <- reticulate::import("inspect")
  pyadam <- reticulate::import("pyadam")
  for (name in grep("^new_", names(table), invert = TRUE, value = TRUE)) {
    in_r <- formals(getExportedValue("pyadam", name))
    in_python <- inspect$signature(pyadam[[name]])$parameters
    for (argument in setdiff(names(in_r), "...")) {
      default <- in_python$get(argument)$default
      if (identical(in_r[[argument]], quote(expr = ))) { # nolint: spaces_inside.
        expect_identical(default, inspect$Parameter$empty)
      } else {
        expect_identical(default, eval(in_r[[argument]]), info = c(name, argument))
      }
    }
  }
})
