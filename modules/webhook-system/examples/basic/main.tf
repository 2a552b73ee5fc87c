module "webhook" {
  source = "../../../webhook-system"

  environment = "dev"
  routes = {
    sss = {
      path         = "/sqs-hook"
      ordering_key = "$request.header.x-workflow-id"
      destinations = [{ name = "sss", url = "https://sss.example.com/application-hook" }]
    }
  }
  aws = {
    notifications = { emails = ["operator@example.com"] }
  }
  artifact = {
    path        = "function.zip"  # `cargo xtask package` makes it,
    code_sha256 = var.code_sha256 # and says this in manifest.json
  }
}

output "urls_for_the_saas" {
  value = module.webhook.ingest_urls
}

variable "code_sha256" {
  type = string
}
