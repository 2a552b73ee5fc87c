module "api" {
  source = "../../../http-api"

  name = "dev-webhook"
}

output "endpoint" {
  value = module.api.api_endpoint
}
