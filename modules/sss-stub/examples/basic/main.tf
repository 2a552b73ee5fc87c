module "stub" {
  source = "../../../sss-stub"

  environment       = "dev"
  api_id            = module.api.api_id
  api_execution_arn = module.api.execution_arn
  artifact = {
    path        = "sss-stub.zip"  # `cargo xtask package --stub` makes it
    code_sha256 = var.code_sha256 # `openssl dgst -sha256 -binary sss-stub.zip | base64`
  }
}

module "api" {
  source = "../../../http-api"

  name = "dev-webhook"
}

output "destination_url" {
  value = "${module.api.api_endpoint}${module.stub.path}"
}

variable "code_sha256" {
  type = string
}
