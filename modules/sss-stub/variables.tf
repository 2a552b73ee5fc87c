variable "environment" {
  description = "Name of the environment, such as `dev`: 1 to 20 lower-case letters, digits and `-`. The names of the function and its role begin with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "environment is \"${var.environment}\"; a name is 1 to 20 lower-case letters, digits and \"-\", and begins with a letter."
  }
}

variable "api_id" {
  description = "Id of the HTTP API that the stub answers on."
  type        = string
  nullable    = false
}

variable "api_execution_arn" {
  description = "ARN by which the stub's function allows that API to call it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:execute-api:", var.api_execution_arn))
    error_message = "api_execution_arn is \"${var.api_execution_arn}\"; it must be the execution ARN of an API."
  }
}

variable "path" {
  description = "Path that the stub takes webhooks on, by POST."
  type        = string
  default     = "/application-hook"
  nullable    = false

  validation {
    condition     = can(regex("^(/[A-Za-z0-9._~-]+)+$", var.path))
    error_message = "path is \"${var.path}\"; it is \"/\" and segments of letters, digits and \"-._~\"."
  }
}

variable "artifact" {
  description = <<-EOT
    The zip file with the stub's function.
    `code_sha256`: its SHA-256 in base64.
    `path`: where it is on this machine; or `bucket` and `key`, and where the bucket has versions `object_version`.
    `architecture`: `arm64` or `x86_64`.
  EOT
  type = object({
    code_sha256    = string
    path           = optional(string)
    bucket         = optional(string)
    key            = optional(string)
    object_version = optional(string)
    architecture   = optional(string, "arm64")
  })
  nullable = false

  validation {
    condition     = can(regex("^[A-Za-z0-9+/]{43}=$", var.artifact.code_sha256))
    error_message = "code_sha256 is \"${var.artifact.code_sha256}\"; it must be a SHA-256 in base64, 44 characters."
  }
  validation {
    condition     = (var.artifact.path == null) != (var.artifact.bucket == null) && (var.artifact.bucket == null) == (var.artifact.key == null)
    error_message = "artifact needs either path, or bucket and key."
  }
  validation {
    condition     = var.artifact.object_version == null || var.artifact.bucket != null
    error_message = "object_version is for an artifact in a bucket."
  }
  validation {
    condition     = contains(["arm64", "x86_64"], var.artifact.architecture)
    error_message = "architecture is \"${var.artifact.architecture}\"; it must be arm64 or x86_64."
  }
}

variable "timeout_seconds" {
  description = "Longest run of the stub for one webhook, in seconds, 1 to 29: the API waits for 30."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 29 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds is ${var.timeout_seconds}; it must be a whole number from 1 to 29."
  }
}

variable "logs" {
  description = "`retention_days`: how long log lines are kept, one of CloudWatch's choices from 1 to 3653."
  type = object({
    retention_days = optional(number, 7)
  })
  default  = {}
  nullable = false

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.logs.retention_days
    )
    error_message = "retention_days is ${var.logs.retention_days}; CloudWatch takes 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of the policy that bounds the role's permissions, where the account demands one."
  type        = string
  default     = null
}
