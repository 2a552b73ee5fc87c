# The first five are in terraform.tfvars.json, the others in a file that `cargo xtask` writes. Their
# shape is that of modules/webhook-system, which checks it.

variable "environment" {
  description = "Name of the environment; that of its directory."
  type        = string
}

variable "routes" {
  description = "What is accepted and where it goes, by the route's name."
  type        = any
}

variable "queue" {
  description = "The queue and its dead-letter queue."
  type        = any
  default     = {}
}

variable "forwarder" {
  description = "How the function delivers."
  type        = any
  default     = {}
}

variable "aws" {
  description = "Where this is deployed to, and how."
  type        = any
}

variable "artifact" {
  description = "The zip file with the forwarder: `code_sha256`, and where it is."
  type        = any
}

variable "stub_artifact" {
  description = "The zip file with the stand-in for the service, where `aws.sss_stub` is set."
  type        = any
  default     = null
}
